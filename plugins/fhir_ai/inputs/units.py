"""Units: a quantity in the unit that a formula takes, or why that cannot be; nothing is guessed.

Spec: https://ucum.org/ucum
"""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from fhir_server.plugin_api import ucum_unit

UCUM: Final = "http://unitsofmeasure.org"
_MOST_DIGITS: Final = 100
"""Exponents beyond it are those of no measurement, and fractions of them take hours."""
_CREATININE_MASS: Final = Fraction("113.12")


class UnitFault(ValueError):
    """A quantity that cannot be brought to the unit asked for."""


def in_unit(quantity: Mapping[str, Any], target: str, *, name: str = "", molar_mass: float = 0) -> float:
    """Return the number of a Quantity in a UCUM unit.

    Args:
        quantity: a FHIR Quantity, its unit coded in UCUM.
        name: of the input, for the ratios that UCUM alone cannot tell apart.
        molar_mass: g/mol, where amounts of substance and masses are both in use.

    Raises:
        UnitFault: no value, a comparator, no coded unit, or one of another kind.
    """
    value = quantity.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise UnitFault("it has no value")
    if quantity.get("comparator"):
        raise UnitFault(f"it is only {quantity['comparator']} {value}, not a value")
    code = quantity.get("code")
    if quantity.get("system") != UCUM or not isinstance(code, str):
        text = quantity.get("unit") or code
        said = f"its unit {str(text)[:40]!r} is not coded in UCUM" if text else "it has no unit"
        raise UnitFault(f"{said}; record it with a UCUM code such as {target}")
    if not -_MOST_DIGITS < Decimal(value).adjusted() < _MOST_DIGITS:
        raise UnitFault("its value is no measurement")
    if code == target:
        return float(value)
    return float(_converted(Fraction(value), code, target, (name, Fraction(str(molar_mass)))))


def _converted(value: Fraction, code: str, target: str, kind: tuple[str, Fraction]) -> Fraction:
    name, mass = kind
    if name == "hba1c" and code != "%":
        # mmol/mol is a fraction as % is, but of the IFCC's scale, not of the NGSP's: https://ngsp.org/ifcc.asp
        if code == "mmol/mol":
            return value * Fraction("0.09148") + Fraction("2.152")
        raise UnitFault(f"its unit {code[:40]} is neither % nor mmol/mol")
    if name == "uacr" and code in ("mg/mmol", "g/mol"):
        return value * 1000 / _CREATININE_MASS
    if name == "inr" and code not in ("1", "{ratio}", "{INR}", "{inr}"):
        raise UnitFault(f"its unit {code[:40]} is not that of a ratio")
    given, wanted = ucum_unit(code), ucum_unit(target)
    if given is None or wanted is None:
        raise UnitFault(f"its unit {code[:40]!r} is not UCUM")
    if given.dimensions == wanted.dimensions:
        return (value * given.factor + given.shift - wanted.shift) / wanted.factor
    return _by_mass(value, code, target, mass)


def _by_mass(value: Fraction, code: str, target: str, mass: Fraction) -> Fraction:
    """Turn an amount of substance into a mass, or back."""
    given, wanted = ucum_unit(code), ucum_unit(target)
    amount, weight = ucum_unit("mol/L"), ucum_unit("g/L")
    if mass and given and wanted and amount and weight:
        sides = given.dimensions, wanted.dimensions
        if sides == (amount.dimensions, weight.dimensions):
            return value * given.factor / amount.factor * mass * weight.factor / wanted.factor
        if sides == (weight.dimensions, amount.dimensions):
            return value * given.factor / weight.factor / mass * amount.factor / wanted.factor
    raise UnitFault(f"its unit {code[:40]} cannot be turned into {target}")
