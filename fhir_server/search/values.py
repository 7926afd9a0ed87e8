"""The values of searches and of index rows: what extraction and the URL parser must do alike."""

import re
from decimal import Decimal
from math import inf, nextafter

from fhir_server.search.dates import EARLIEST, LATEST, date_bounds
from fhir_server.search.folding import fold
from fhir_server.search.units import UCUM, canonical_quantity

__all__ = ["EARLIEST", "LATEST", "UCUM", "canonical_quantity", "date_bounds", "fold", "number_range"]

_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?", re.ASCII)


def number_range(text: str) -> tuple[float, float, float]:
    """Return the value of a number in a search, and the range [low, high) that its precision implies.

    `100` is 99.5 to 100.5, `100.00` is 99.995 to 100.005. The specification has `1e2` at 95 to 105, so a single
    digit before the exponent counts as two (`1.0e2`).

    Spec: https://hl7.org/fhir/R4/search.html#number

    Raises:
        ValueError: the text is no number, or too large for one.
    """
    if not _NUMBER.fullmatch(text) or len(text) > 100:
        raise ValueError(f"{text[:100]!r} is not a number like 100, 100.00 or 1e2")
    value = Decimal(text)
    _, digits, exponent = value.as_tuple()
    exponent = int(exponent)
    if exponent > 0 and len(digits) == 1:
        exponent -= 1
    half = Decimal((0, (5,), exponent - 1))
    exact, low, high = float(value), float(value - half), float(value + half)
    if exact in (inf, -inf):
        raise ValueError(f"{text!r} is too large for a number")
    # More digits than a float holds: the range is still not empty.
    return exact, low, max(high, nextafter(exact, inf))
