"""Quantities in the base form of their UCUM unit, so that 70 kg and 70000 g are one number."""

from functools import cache, lru_cache
from typing import Any

UCUM = "http://unitsofmeasure.org"


def canonical_quantity(low: float, high: float, code: str) -> tuple[float, float, str] | None:
    """Return the bounds in base units and the name of that unit; None if `code` is no UCUM unit that can be converted.

    Both sides of a comparison are rounded to 12 significant digits, so that the same quantity in two units is one
    number. Units of temperature with an offset (Cel, [degF]) become kelvin. Infinite bounds stay.

    Spec: https://hl7.org/fhir/R4/search.html#quantity and https://ucum.org/ucum
    """
    scale = _scale(code)
    if scale is None:
        return None
    factor, offset, unit = scale
    return _round(low * factor + offset), _round(high * factor + offset), unit


def _round(value: float) -> float:
    return float(f"{value:.12g}")


@lru_cache(maxsize=4096)
def _scale(code: str) -> tuple[float, float, str] | None:
    """Return factor, offset and name of the base unit; the registry is asked once for each code."""
    if not code or len(code) > 100:
        return None
    registry, faults = _registry()
    try:
        unit = registry.from_ucum(code)
        zero, one = (registry.Quantity(n, unit.units).to_base_units() for n in (0.0, 1.0))
        count = float(unit.magnitude)
    except faults:
        return None
    return float((one - zero).magnitude) * count, float(zero.magnitude), str(zero.units)


@cache
def _registry() -> tuple[Any, tuple[type[Exception], ...]]:
    # Half a second to load, so not before the first quantity with a unit.
    import lark
    import pint
    import ucumvert  # type: ignore[import-untyped]

    faults = (lark.exceptions.LarkError, pint.PintError, ucumvert.InvalidUcumError, AttributeError, ArithmeticError)
    return ucumvert.PintUcumRegistry(), faults
