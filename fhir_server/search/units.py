"""Quantities in the base form of their UCUM unit, so that 70 kg and 70000 g are one number."""

import re
from functools import cache, lru_cache
from math import inf, isclose, isfinite, nextafter
from typing import Any

UCUM = "http://unitsofmeasure.org"
_FAR = 1e9
_NOT_READ = re.compile(
    r"""
    \d{5}            # powers that would take for ever
    | ^[^\[{]*'      # minutes and seconds of arc, which the registry takes for those of time
    | ^.{61}
    | ^\s*$
    """,
    re.VERBOSE | re.DOTALL,
)
_ARBITRARY = re.compile(
    r"""\[(?:
    [iI]U | arb'U | USP'U | GPL'U | MPL'U | APL'U | beth'U | anti'Xa'U | todd'U | dye'U | smgy'U | bdsk'U | ka'U | knk'U
    | mclg'U | tb'U | CCID_50 | TCID_50 | EID_50 | PFU | FFU | CFU | IR | BAU | AU | Amb'a'1'U | PNU | Lf | D'ag'U | FEU
    | ELU | EU
    )\]""",
    re.VERBOSE,
)
"""Units of a procedure or a substance, which convert to nothing else: https://ucum.org/ucum#section-Arbitrary-Units"""


def canonical_quantity(low: float, high: float, code: str) -> tuple[float, float, str] | None:
    """Return the bounds in base units and the name of that unit; None if `code` is no UCUM unit that can be converted.

    Both sides of a comparison are rounded to 13 significant digits, so that the same quantity in two units is one
    number; bounds that become one by it are set one step apart. Units of temperature with an offset (Cel, [degF])
    become kelvin, arbitrary units ([iU]) stay units of their own. Infinite bounds stay.

    Spec: https://hl7.org/fhir/R4/search.html#quantity and https://ucum.org/ucum
    """
    scale = _scale(code)
    if scale is None:
        return None
    factor, offset, unit = scale
    first = float(f"{low * factor + offset:.13g}")
    if low == high:
        return first, first, unit
    last = float(f"{high * factor + offset:.13g}")
    return first, last if first < last else nextafter(first, inf), unit


@lru_cache(maxsize=4096)
def _scale(code: str) -> tuple[float, float, str] | None:
    """Return factor, offset and name of the base unit; the registry is asked once for each code."""
    if _NOT_READ.search(code):
        return None
    registry, faults = _registry()
    try:
        unit = registry.from_ucum(code)
        zero, one, two = (_base(registry, unit, number) for number in (0.0, 1.0, 2.0))
        if not isclose(two - one, one - zero):
            return None  # a logarithm
        # The difference of distant points, because an offset swallows digits of near ones.
        factor = (_base(registry, unit, _FAR) - zero) / _FAR * float(unit.magnitude)
        name = str(registry.Quantity(1, unit.units).to_base_units().units)
    except faults:
        return None
    own = sorted(found.lower() for found in _ARBITRARY.findall(code))
    return (factor, zero, " ".join((name, *own))) if isfinite(factor) and factor > 0 else None


def _base(registry: Any, unit: Any, number: float) -> float:
    return float(registry.Quantity(number, unit.units).to_base_units().magnitude)


@cache
def _registry() -> tuple[Any, tuple[type[Exception], ...]]:
    # Half a second to load, so not before the first quantity with a unit.
    import lark
    import pint
    import ucumvert  # type: ignore[import-untyped]

    registry = ucumvert.PintUcumRegistry()
    faults = (lark.exceptions.LarkError, pint.PintError, ucumvert.InvalidUcumError, AttributeError, ArithmeticError)
    return registry, faults
