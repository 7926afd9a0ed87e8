"""Shapes: which segments a transaction has to have, and which elements these; what a 999 is made from."""

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Final

from fhir_billing.x12.envelope import Fault, Transaction
from fhir_billing.x12.segments import Segment, element

NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "837": ("BHT", "HL", "NM1", "SBR", "CLM", "LX"),
    "835": ("BPR", "TRN", "N1"),
    "270": ("BHT", "HL", "NM1"),
    "271": ("BHT", "HL", "NM1"),
    "276": ("BHT", "HL", "NM1", "TRN"),
    "277": ("BHT", "HL", "NM1", "TRN", "STC"),
    "278": ("BHT", "HL", "NM1"),
    "999": ("AK1", "AK9"),
}
_ELEMENTS: Final[dict[str, tuple[int, ...]]] = {
    "BHT": (1, 2), "HL": (1, 3), "NM1": (1, 2), "SBR": (1,), "CLM": (1, 2, 5), "LX": (1,), "SV1": (1, 2, 3, 4),
    "SV2": (1, 3, 4, 5), "BPR": (1, 2, 3, 4), "TRN": (1, 2), "N1": (1,), "CLP": (1, 2, 3, 4), "SVC": (1, 2, 3),
    "CAS": (1, 2, 3), "DTP": (1, 2, 3), "STC": (1,), "AK1": (1, 2), "AK9": (1, 2, 3, 4), "HCR": (1,), "UM": (1,),
}  # fmt: skip
_NUMBERS: Final[dict[str, tuple[int, ...]]] = {
    "CLM": (2,), "SV1": (2, 4), "SV2": (3, 5), "BPR": (2,), "CLP": (3, 4, 5), "SVC": (2, 3, 5),
    "CAS": (3, 6, 9, 12, 15, 18), "AMT": (2,), "LX": (1,), "PLB": (4, 6, 8, 10, 12, 14),
}  # fmt: skip


def check(transaction: Transaction) -> tuple[Fault, ...]:
    """Return what is wrong with a transaction: its envelope, segments that are missing, elements that do not fit."""
    if transaction.kind not in NEEDED:
        return (Fault("transaction", "1", f"transactions {transaction.kind[:10]} are not taken"),)
    return (*transaction.faults, *_missing(transaction), *_elements(transaction))


def _missing(transaction: Transaction) -> Iterator[Fault]:
    there = {each[0] for each in transaction.segments}
    for name in NEEDED[transaction.kind]:
        if name not in there:
            position = len(transaction.segments) + 2
            yield Fault("segment", "3", f"a {transaction.kind} has a segment {name}", position, name)


def _elements(transaction: Transaction) -> Iterator[Fault]:
    for position, segment in enumerate(transaction.segments, 2):
        for number in _ELEMENTS.get(segment[0], ()):
            if not element(segment, number):
                text = f"{segment[0]}{number:02d} is missing"
                yield Fault("element", "1", text, position, segment[0], number)
        for number in _NUMBERS.get(segment[0], ()):
            value = element(segment, number)
            if value and not is_number(value):
                text = f"{segment[0]}{number:02d} is no number"
                yield Fault("element", "6", text, position, segment[0], number, value)


def is_number(text: str) -> bool:
    """Tell whether an element is a number as X12 writes it."""
    try:
        return Decimal(text).is_finite() and "E" not in text.upper()
    except InvalidOperation:
        return False


def name_of(segment: Segment) -> str:
    """Return the name of a segment."""
    return segment[0]
