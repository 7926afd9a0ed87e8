"""What may be wrong with an object that comes in, with the status that says so.

Statuses: https://dicom.nema.org/medical/dicom/current/output/chtml/part04/sect_B.2.3.html and PS3.18 table 10.5.3-1.
"""

from typing import Final

PROCESSING_FAILURE: Final = 0x0110
NO_SUCH_ATTRIBUTE: Final = 0x0105
MISSING_ATTRIBUTE: Final = 0x0120
MISSING_VALUE: Final = 0x0121
NOT_AUTHORIZED: Final = 0x0124
DUPLICATE: Final = 0x0111
OUT_OF_RESOURCES: Final = 0xA700
MISMATCH: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000
TRANSFER_SYNTAX: Final = 0xC122
COERCED: Final = 0xB000
MISMATCH_WARNING: Final = 0xB007


class ObjectFault(Exception):
    """An object that cannot be stored. The sentence names elements, never their values."""

    def __init__(self, reason: str, status: int = CANNOT_UNDERSTAND) -> None:
        super().__init__(reason)
        self.reason, self.status = reason, status


def named(tag: int) -> str:
    """Return a tag as people write it: (0010,0020)."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
