"""Options: what is kept or cleaned beyond the Basic Profile, and how objects name it.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part15/sect_E.3.html
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

_CODES = {
    "pixels": ("113101", "Clean Pixel Data Option"),
    "graphics": ("113103", "Clean Graphics Option"),
    "structured": ("113104", "Clean Structured Content Option"),
    "descriptors": ("113105", "Clean Descriptors Option"),
    "dates": ("113106", "Retain Longitudinal Temporal Information Full Dates Option"),
    "shift": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "characteristics": ("113108", "Retain Patient Characteristics Option"),
    "devices": ("113109", "Retain Device Identity Option"),
    "uids": ("113110", "Retain UIDs Option"),
    "private": ("113111", "Retain Safe Private Option"),
    "institutions": ("113112", "Retain Institution Identity Option"),
}
BASIC = ("113100", "Basic Application Confidentiality Profile")


@dataclass(frozen=True, slots=True)
class Options:
    """Options of PS3.15 E.3. dates: full dates stay; shift: they move by days that each patient has, times stay."""

    pixels: bool = False
    graphics: bool = False
    structured: bool = False
    descriptors: bool = False
    dates: bool = False
    shift: bool = False
    characteristics: bool = False
    devices: bool = False
    uids: bool = False
    private: bool = False
    institutions: bool = False

    def codes(self) -> list[tuple[str, str]]:
        """Return the codes of the profile and its options (CID 7050)."""
        return [BASIC, *(code for name, code in _CODES.items() if getattr(self, name))]

    def plain(self) -> dict[str, Any]:
        """Return it as plain values, for a worker."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


NAMES = tuple(_CODES)


def options_of(names: Iterable[str]) -> Options:
    """Return options by their names.

    Raises:
        ValueError: there is none such, or two that exclude each other.
    """
    wanted = [name.strip().lower() for name in names if name.strip()]
    for name in wanted:
        if name not in _CODES:
            raise ValueError(f"{name[:30]} is no option of de-identification; there are {', '.join(NAMES)}")
    if "dates" in wanted and "shift" in wanted:
        raise ValueError("dates are either kept (dates) or moved (shift)")
    return Options(**dict.fromkeys(wanted, True))
