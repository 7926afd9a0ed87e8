"""Kinds of directory records: which one an object has, and what that says of it.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_F.5.html
"""

from collections.abc import Mapping
from typing import Final

_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
_EXACT: Final[Mapping[str, str]] = {
    "4.2": "SPECTROSCOPY", "66": "RAW DATA", "66.1": "REGISTRATION", "66.2": "FIDUCIAL", "66.3": "REGISTRATION",
    "66.5": "SURFACE", "66.6": "TRACT", "67": "VALUE MAP", "68.1": "SURFACE SCAN", "68.2": "SURFACE SCAN",
    "77.1.5.3": "STEREOMETRIC", "88.59": "KEY OBJECT DOC", "90.1": "ASSESSMENT", "481.2": "RT DOSE",
    "481.3": "RT STRUCTURE SET", "481.4": "RT TREAT RECORD", "481.5": "RT PLAN", "481.6": "RT TREAT RECORD",
    "481.7": "RT TREAT RECORD", "481.8": "RT PLAN", "481.9": "RT TREAT RECORD",
}  # fmt: skip
"""By the end of the SOP class."""
_FAMILIES: Final[Mapping[str, str]] = {
    "9": "WAVEFORM", "11": "PRESENTATION", "78": "MEASUREMENT", "88": "SR DOCUMENT", "104": "ENCAP DOC",
}  # fmt: skip
_CONTENT: Final = ("00080023", "00080033")
_LABELLED: Final = (*_CONTENT, "00700080", "00700081", "00700084")
KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "SPECTROSCOPY": ("00080008", *_CONTENT, "00189005", "00280003", "00280008", "00280010", "00280011"),
    "RAW DATA": _CONTENT,
    "REGISTRATION": _LABELLED,
    "FIDUCIAL": _LABELLED,
    "VALUE MAP": _LABELLED,
    "SURFACE": _CONTENT,
    "TRACT": _CONTENT,
    "SURFACE SCAN": _CONTENT,
    "MEASUREMENT": _CONTENT,
    "ASSESSMENT": _CONTENT,
    "WAVEFORM": _CONTENT,
    "KEY OBJECT DOC": (*_CONTENT, "0040A043"),
    "SR DOCUMENT": (*_CONTENT, "0040A030", "0040A043", "0040A491", "0040A493"),
    "ENCAP DOC": (*_CONTENT, "0040A043", "0040E001", "00420010", "00420012"),
    "PRESENTATION": ("00081115", "00700080", "00700081", "00700082", "00700083", "00700084"),
    "RT DOSE": ("3004000A",),
    "RT STRUCTURE SET": ("30060002", "30060008", "30060009"),
    "RT PLAN": ("300A0002", "300A0006", "300A0007"),
    "RT TREAT RECORD": ("30080250", "30080251"),
}
"""What records say beside Instance Number, which all have."""
VRS: Final[Mapping[str, str]] = {
    "00080023": "DA", "00080033": "TM", "0040A043": "SQ", "00420010": "ST", "30060008": "DA", "30060009": "TM",
    "300A0006": "DA", "300A0007": "TM", "30080250": "DA", "30080251": "TM", "00700081": "LO", "00700084": "PN",
}  # fmt: skip
"""Of what may be empty and must be there."""
INVENTED: Final[Mapping[str, tuple[str, str]]] = {
    "00080020": ("DA", "19000101"), "00080030": ("TM", "000000"), "00080060": ("CS", "OT"),
    "0040A491": ("CS", "PARTIAL"), "0040A493": ("CS", "UNVERIFIED"), "00420012": ("LO", "application/octet-stream"),
    "00700080": ("CS", "UNNAMED"), "00700082": ("DA", "19000101"), "00700083": ("TM", "000000"),
    "3004000A": ("CS", "PLAN"), "30060002": ("SH", "UNNAMED"), "300A0002": ("SH", "UNNAMED"),
}  # fmt: skip
"""What stands where an object lacks what a record must have; as dcmmkdir invents it, where that does."""


def kind_of(sop_class: str, *, pictured: bool) -> str:
    """Return the type of the record of an object; empty: it has none. pictured: it has pixel data."""
    end = sop_class.removeprefix(_STORAGE)
    if end != sop_class:
        found = _EXACT.get(end) or _FAMILIES.get(end.partition(".")[0])
        if found:
            return found
    return "IMAGE" if pictured else ""
