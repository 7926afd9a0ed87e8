"""Statuses of DIMSE: PS3.7 annex C, PS3.4 annexes B, C, F, J and K."""

from typing import Final

SUCCESS: Final = 0x0000
CANCEL: Final = 0xFE00
PENDING: Final = 0xFF00
PENDING_UNSUPPORTED: Final = 0xFF01
"""A match, while some optional keys were not looked at."""

PROCESSING_FAILURE: Final = 0x0110
DUPLICATE: Final = 0x0111
NO_SUCH_INSTANCE: Final = 0x0112
INVALID_INSTANCE: Final = 0x0117
NO_SUCH_CLASS: Final = 0x0118
CLASS_CONFLICT: Final = 0x0119
MISSING_ATTRIBUTE: Final = 0x0120
MISSING_VALUE: Final = 0x0121
CLASS_NOT_SUPPORTED: Final = 0x0122
NO_SUCH_ACTION: Final = 0x0123
NOT_AUTHORIZED: Final = 0x0124
INVALID_VALUE: Final = 0x0106
UNRECOGNIZED: Final = 0x0211
MISTYPED: Final = 0x0212
RESOURCES: Final = 0x0213

OUT_OF_RESOURCES: Final = 0xA700
CANNOT_COUNT: Final = 0xA701
CANNOT_SEND: Final = 0xA702
UNKNOWN_DESTINATION: Final = 0xA801
DOES_NOT_MATCH: Final = 0xA900
WARNING: Final = 0xB000
CANNOT_PROCESS: Final = 0xC001


def is_warning(status: int) -> bool:
    """Tell whether a status says that it was done, but not quite as asked."""
    return status & 0xF000 == 0xB000 or status in (0x0001, 0x0107, 0x0116)


def is_pending(status: int) -> bool:
    """Tell whether more follows."""
    return status in (PENDING, PENDING_UNSUPPORTED)
