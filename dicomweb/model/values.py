"""Values that the parts hand each other: objects that come in, instances that are there, what is asked for."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Level = Literal["study", "series", "instance"]
DicomJson = dict[str, Any]
"""A data set as DICOM JSON: https://dicom.nema.org/medical/dicom/current/output/chtml/part18/chapter_F.html"""


@dataclass(frozen=True, slots=True)
class Source:
    """Where objects come from: `stow`, `c-store`, `import`, `plugin`; the calling AE title; the address."""

    kind: Literal["stow", "c-store", "import", "plugin"]
    ae: str = ""
    called: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Incoming:
    """One object that comes in.

    data: the bytes, whole or in chunks as they come. With `transfer_syntax` empty they are a Part 10 file. Else they
    are the bare data set as an association brings it, and the other two say what its command said; the archive writes
    preamble and File Meta Information before it and never encodes it anew.
    study: the Study Instance UID that the request names; empty for any. size: if it is known.
    """

    data: bytes | AsyncIterator[bytes]
    transfer_syntax: str = ""
    sop_class: str = ""
    sop_instance: str = ""
    study: str = ""
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one object.

    status: of PS3.4 table B.2-1 and PS3.18 table 10.5.3-1: 0 stored, 0xB000 and the like stored with a warning,
    others not stored. reason: a sentence for people without any patient data.
    """

    sop_class: str = ""
    sop_instance: str = ""
    study: str = ""
    series: str = ""
    status: int = 0
    reason: str = ""
    stored: bool = False

    @property
    def failed(self) -> bool:
        """Tell whether the object is not in the archive."""
        return self.status != 0 and self.status & 0xF000 != 0xB000


@dataclass(frozen=True, slots=True)
class Pixels:
    """Where the pixel data of an instance lies in its Part 10 object.

    start: the offset of its value (of the first item of an encapsulated one); length: -1 for encapsulated.
    frames: how many. frame_size: bytes of each frame of native data, 0 for encapsulated.
    """

    start: int
    length: int
    frames: int = 1
    frame_size: int = 0
    tag: str = "7FE00010"


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance that is there.

    size: of its Part 10 object. sha256: of its bytes, in hex. pixels: None for objects without pixel data.
    attributes: DICOM JSON of what searches return, without those of series and study.
    """

    study: str
    series: str
    sop: str
    sop_class: str
    transfer_syntax: str
    size: int
    sha256: str
    number: int | None = None
    rows: int = 0
    columns: int = 0
    pixels: Pixels | None = None
    stored: int = 0
    attributes: DicomJson = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def key(self) -> str:
        """Key of its record."""
        return f"{self.study}/{self.series}/{self.sop}"


@dataclass(frozen=True, slots=True)
class Query:
    """A search as QIDO and C-FIND have it.

    keys: what must hold, as text by tag in hex ("00100020": "123"); of UIDs and Modalities in Study several may stand,
    with commas or backslashes. Ranges, `*` and `?` as PS3.4 C.2.2.2 says; an empty value matches all.
    Elements of sequences have both tags: "00400275.00400009".
    include: tags to return beside those that are always returned; `all` for all that there are.
    within: levels above, by UID: {"study": "1.2"}.
    """

    level: Level
    keys: Mapping[str, str] = field(default_factory=dict)
    include: tuple[str, ...] = ()
    within: Mapping[Level, str] = field(default_factory=dict)
    limit: int | None = None
    offset: int = 0
    fuzzy: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """Matches in a stable order, and whether there are more. remarks: sentences for a Warning header.

    patients: logical ids of those whose studies are among them, for the audit.
    """

    rows: tuple[DicomJson, ...] = ()
    more: bool = False
    remarks: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
