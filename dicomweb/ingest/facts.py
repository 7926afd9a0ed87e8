"""What the archive has to know of an object before it can be stored: its UIDs, which have to be some."""

import re
from dataclasses import dataclass
from typing import Any, Final

from dicomweb.ingest.faults import MISMATCH, MISSING_ATTRIBUTE, MISSING_VALUE, ObjectFault, named
from dicomweb.ingest.scan import Scanned
from dicomweb.model.values import DicomJson

_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST: Final = 64
_STUDY, _SERIES, _SOP, _CLASS = 0x0020000D, 0x0020000E, 0x00080018, 0x00080016


@dataclass(frozen=True, slots=True)
class Uids:
    """The UIDs of an instance."""

    study: str
    series: str
    sop: str
    sop_class: str

    @property
    def key(self) -> str:
        """Key of its record."""
        return f"{self.study}/{self.series}/{self.sop}"


def is_uid(text: str) -> bool:
    """Tell whether a text is a UID; leading zeros of components, which are wrong but common, are let pass."""
    return len(text) <= _LONGEST and _UID.fullmatch(text) is not None


def uids_of(scanned: Scanned, sop_class: str = "", sop_instance: str = "") -> Uids:
    """Return the UIDs; the last two are what a C-STORE command says. Raises ObjectFault."""
    header = scanned.header
    found = Uids(*(_uid(header, tag) for tag in (_STUDY, _SERIES, _SOP, _CLASS)))
    if (sop_class and sop_class != found.sop_class) or (sop_instance and sop_instance != found.sop):
        raise ObjectFault("SOP Class or SOP Instance UID of the data set are not those of the command", MISMATCH)
    return found


def first(header: DicomJson, tag: str, default: Any = "") -> Any:
    """Return the first value of an element."""
    values = header.get(tag, {}).get("Value")
    return default if not values or values[0] is None else values[0]


def _uid(header: DicomJson, tag: int) -> str:
    name = f"{tag:08X}"
    if name not in header:
        raise ObjectFault(f"{named(tag)} is missing", MISSING_ATTRIBUTE)
    value = str(first(header, name))
    if not value:
        raise ObjectFault(f"{named(tag)} has no value", MISSING_VALUE)
    if not is_uid(value):
        raise ObjectFault(f"the value of {named(tag)} is no UID", MISMATCH)
    return value
