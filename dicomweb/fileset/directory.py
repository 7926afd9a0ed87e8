"""A DICOMDIR, put together while the objects of a file-set are sent; of each it keeps its record of some 250 bytes.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part03/chapter_F.html, names of files: part10/sect_8.2
"""

import struct
import uuid
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dicomweb.dimse.wire.dataset import element, encode, text
from dicomweb.fileset.kinds import INVENTED, KEYS, VRS, kind_of
from dicomweb.ingest.meta import written_meta
from dicomweb.model.values import DicomJson

NAME: Final = "DICOMDIR"
_CLASS: Final = "1.2.840.10008.1.3.10"
_EXPLICIT: Final = "1.2.840.10008.1.2.1"
PATIENT: Final = {"00100010": "PN", "00100020": "LO"}
STUDY: Final = {
    "00080020": "DA", "00080030": "TM", "00080050": "SH", "00081030": "LO", "0020000D": "UI", "00200010": "SH"
}  # fmt: skip
SERIES: Final = {"00080060": "CS", "0020000E": "UI", "00200011": "IS"}
_NEXT: Final = 16
"""Where in the bytes of an item the offset of the record after it stands: behind the heads of item and element."""
_BELOW: Final = _NEXT + 4 + 10 + 8
"""Where that of the first record below it stands: behind the flag that it is in use."""
_HEAD: Final = struct.Struct("<HH2sHL")


@dataclass(frozen=True, slots=True)
class Described:
    """What a directory says of an object: its attributes as DICOM JSON, and the transfer syntax that it is sent in."""

    rows: Mapping[str, Any]
    transfer_syntax: str
    pictured: bool


@dataclass(slots=True)
class _Node:
    """The record of a patient, study or series, with those below it; of a series the bytes of its objects' records."""

    item: bytearray
    below: "dict[str, _Node]" = field(default_factory=dict)
    leaves: bytearray = field(default_factory=bytearray)
    starts: "array[int]" = field(default_factory=lambda: array("I"))

    @property
    def size(self) -> int:
        """How many bytes it has with all below it."""
        return len(self.item) + len(self.leaves) + sum(each.size for each in self.below.values())


@dataclass(slots=True)
class Directory:
    """The directory of one file-set."""

    _patients: dict[str, _Node] = field(default_factory=dict)
    _folders: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    _studies: dict[str, int] = field(default_factory=dict)

    def place(self, study: str, series: str) -> str:
        """Return the name of the next file of a series: components of eight characters, without any of a UID."""
        key = f"{study}/{series}"
        number = self._studies.setdefault(study, len(self._studies) + 1)
        of_study = sum(each.startswith(f"{study}/") for each in self._folders) if key not in self._folders else 0
        _, folder, count = self._folders.get(key, (number, of_study + 1, 0))
        self._folders[key] = (number, folder, count + 1)
        return f"DICOM/ST{number:06}/SE{folder:06}/IM{count + 1:06}"

    def add(self, name: str, found: Described) -> None:
        """Take up an object under its name; one whose class has no kind of record is in the ZIP alone."""
        rows = found.rows
        kind = kind_of(text(rows, "00080016"), pictured=found.pictured)
        if not kind:
            return
        series = self._series(rows)
        wanted = {**dict.fromkeys(KEYS.get(kind, ()), ""), "00200013": "IS"}
        said = _said(rows, wanted, {"00200013": ("IS", str(len(series.starts) + 1))})
        said |= {
            "00041500": element("CS", *name.split("/")), "00041510": element("UI", text(rows, "00080016")),
            "00041511": element("UI", text(rows, "00080018")), "00041512": element("UI", found.transfer_syntax),
        }  # fmt: skip
        series.starts.append(len(series.leaves))
        series.leaves += _item(kind, said)

    def _series(self, rows: Mapping[str, Any]) -> _Node:
        study, series = text(rows, "0020000D"), text(rows, "0020000E")
        person = text(rows, "00100020") or study
        found = _Node(bytearray(), self._patients)
        for kind, key, wanted, lacking in (
            ("PATIENT", person, PATIENT, ("00100020", "LO", person)),
            ("STUDY", study, STUDY, ("00200010", "SH", "")),
            ("SERIES", series, SERIES, ("00200011", "IS", "")),
        ):
            if key not in found.below:
                tag, vr, other = lacking
                invented = {tag: (vr, other or str(len(found.below) + 1))}
                found.below[key] = _Node(_item(kind, _said(rows, wanted, invented)))
            found = found.below[key]
        return found

    @property
    def empty(self) -> bool:
        """Tell whether no object is in it."""
        return not self._patients

    def chunks(self) -> Iterator[bytes]:
        """Yield the file, once all objects are there."""
        meta = written_meta(_EXPLICIT, _CLASS, f"2.25.{uuid.uuid4().int}")
        size = sum(each.size for each in self._patients.values())
        first = len(meta) + len(_front(0, 0, 0))
        nodes = list(self._patients.values())
        last = first + size - nodes[-1].size if nodes else 0
        yield meta + _front(first if nodes else 0, last, size)
        yield from _records(nodes, first)


def _front(first: int, last: int, size: int) -> bytes:
    head = {
        "00041130": element("CS", "EXPORT"), "00041200": {"vr": "UL", "Value": [first]},
        "00041202": {"vr": "UL", "Value": [last]}, "00041212": {"vr": "US", "Value": [0]},
    }  # fmt: skip
    return encode(head, _EXPLICIT) + _HEAD.pack(0x0004, 0x1220, b"SQ", 0, size)


def _records(nodes: list[_Node], start: int) -> Iterator[bytes]:
    """Yield records of one level, the first of which stands at an offset, each with those below it."""
    for place, node in enumerate(nodes):
        after = start + node.size
        struct.pack_into("<L", node.item, _NEXT, after if place + 1 < len(nodes) else 0)
        inside = start + len(node.item)
        struct.pack_into("<L", node.item, _BELOW, inside if node.below or node.starts else 0)
        yield bytes(node.item)
        yield from _records(list(node.below.values()), inside)
        for number in range(1, len(node.starts)):
            struct.pack_into("<L", node.leaves, node.starts[number - 1] + _NEXT, inside + node.starts[number])
        yield bytes(node.leaves)
        start = after


def _item(kind: str, said: DicomJson) -> bytearray:
    links = {"00041400": {"vr": "UL", "Value": [0]}, "00041410": {"vr": "US", "Value": [0xFFFF]}}
    body = encode({**links, "00041420": {"vr": "UL", "Value": [0]}, "00041430": element("CS", kind), **said}, _EXPLICIT)
    return bytearray(struct.pack("<HHL", 0xFFFE, 0xE000, len(body)) + body)


def _said(rows: Mapping[str, Any], wanted: Mapping[str, str], invented: Mapping[str, tuple[str, str]]) -> DicomJson:
    """Return of an object what a record is to say; what must not be missing, and is, is invented."""
    said: DicomJson = {}
    for tag, vr in wanted.items():
        found, other = rows.get(tag), invented.get(tag) or INVENTED.get(tag)
        if found is not None and found.get("Value") and text(rows, tag).strip("\\ "):
            said[tag] = found
        elif other is not None:
            said[tag] = element(*other)
        elif vr or tag in VRS:
            said[tag] = {"vr": vr or VRS[tag]}
    return said
