"""Text of data sets: which character sets are in force, and values as text."""

import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from pydicom.charset import convert_encodings, decode_bytes

DEFAULT: Final = ("iso8859",)
_TEXT_ENDS: Final = {0x5C, 0x09, 0x0A, 0x0C, 0x0D}
_NAME_ENDS: Final = {*_TEXT_ENDS, 0x5E, 0x3D}


@lru_cache(256)
def encodings_of(names: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """Return Python's encodings of Specific Character Set, and whether all of its terms are known.

    https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_C.12.html#sect_C.12.1.1.2
    """
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            found = tuple(convert_encodings(list(names)))
        except LookupError:
            return DEFAULT, False
    return found, not said


def decoded(raw: bytes, encodings: Sequence[str], *, name: bool = False) -> tuple[str, bool]:
    """Return the text, and whether it is text of its character set: what is none is replaced."""
    if raw.isascii() and b"\x1b" not in raw:
        return raw.decode("ascii"), True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return decode_bytes(raw, encodings, _NAME_ENDS if name else _TEXT_ENDS), True
    except (UnicodeError, LookupError, UserWarning):
        try:
            return raw.decode(encodings[0], "replace"), False
        except LookupError:
            return raw.decode("latin-1"), False
