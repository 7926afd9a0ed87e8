"""How the data sets of a transfer syntax are encoded: https://dicom.nema.org/medical/dicom/current/output/chtml/part05/"""

from dataclasses import dataclass
from typing import Final

IMPLICIT: Final = "1.2.840.10008.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
DEFLATED_JPIP: Final = frozenset(("1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"))
BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
_NATIVE: Final = frozenset((IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN))


@dataclass(frozen=True, slots=True)
class Encoding:
    """explicit: whether elements name their VR. order: as of `struct`. deflated: whether the whole is deflated."""

    explicit: bool = True
    order: str = "<"
    deflated: bool = False


def encoding_of(transfer_syntax: str) -> Encoding:
    """Return how data sets are encoded; all compressed syntaxes, private ones too, are explicit little endian."""
    deflated = transfer_syntax == DEFLATED or transfer_syntax in DEFLATED_JPIP
    order = ">" if transfer_syntax == BIG_ENDIAN else "<"
    return Encoding(transfer_syntax != IMPLICIT, order, deflated)


def is_native(transfer_syntax: str) -> bool:
    """Tell whether its pixel data is not encapsulated."""
    return transfer_syntax in _NATIVE
