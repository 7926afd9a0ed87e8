"""Quantities in the base units of their UCUM unit, so that 70 kg and 70000 g are one number."""

from functools import lru_cache
from math import inf, isfinite, nextafter

from fhir_server.fhirpath import ucum

UCUM = "http://unitsofmeasure.org"


def canonical_quantity(low: float, high: float, code: str) -> tuple[float, float, str] | None:
    """Return the bounds in base units and the name of these; None if `code` is no UCUM unit.

    Both sides of a comparison are rounded to 13 significant digits, so that the same quantity in two units is one
    number; bounds that become one by it are set one step apart. Temperatures become kelvin. Arbitrary units ([iU]) and
    logarithmic ones ([pH], B) are base units of their own. Infinite bounds stay.

    Spec: https://hl7.org/fhir/R4/search.html#quantity and https://ucum.org/ucum
    """
    scale = _scale(code)
    if scale is None:
        return None
    factor, shift, name = scale
    first = float(f"{low * factor + shift:.13g}")
    if low == high:
        return first, first, name
    last = float(f"{high * factor + shift:.13g}")
    return first, last if first < last else nextafter(first, inf), name


@lru_cache(maxsize=4096)
def _scale(code: str) -> tuple[float, float, str] | None:
    """Return factor, shift and name of the base unit as floats."""
    unit = ucum.unit(code.replace("[IU]", "[iU]"))  # two spellings of one unit
    if unit is None:
        return None
    try:
        factor, shift = float(unit.factor), float(unit.shift)
    except OverflowError:
        return None
    if not (isfinite(factor) and factor > 0):
        return None
    return factor, shift, ".".join(f"{name}{power if power != 1 else ''}" for name, power in unit.dimensions) or "1"
