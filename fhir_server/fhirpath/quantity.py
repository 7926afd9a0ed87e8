"""Quantity: a decimal with a unit, compared and converted through UCUM.

Spec: https://hl7.org/fhirpath/N1/#quantity
"""

import re
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from fhir_server.fhirpath import ucum

# Every spelling of a calendar duration, to its singular.
CALENDAR_UNITS = {
    spelling: name
    for name in ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
    for spelling in (name, name + "s")
}
# The UCUM code of the same name. A year and a month of the calendar have no fixed length, so they are only
# equivalent to these, not equal.
UCUM_OF_CALENDAR = {
    "year": "a", "month": "mo", "week": "wk", "day": "d", "hour": "h", "minute": "min", "second": "s",
    "millisecond": "ms",
}  # fmt: skip
_CALENDAR_MONTHS = {"year": ucum.Unit(Fraction(12), (("month", 1),)), "month": ucum.Unit(Fraction(1), (("month", 1),))}
# Against days and hours of the calendar they count as so many seconds.
# Spec: https://hl7.org/fhirpath/N1/#toquantityunit--string--quantity (conversion factors)
_TIME = (("s", 1),)
_CALENDAR_SECONDS = {
    "year": ucum.Unit(Fraction(365 * 86_400), _TIME),
    "month": ucum.Unit(Fraction(30 * 86_400), _TIME),
}
_TEXT = re.compile(r"\s*(?P<value>[+-]?\d+(?:\.\d+)?)\s*(?:'(?P<unit>[^']+)'|(?P<calendar>[a-zA-Z]+))?\s*", re.ASCII)


_CALENDAR_OF_UCUM = {code: name for name, code in UCUM_OF_CALENDAR.items()}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value with a UCUM code, or with a calendar duration (`week`) when `calendar` is set.

    `of_fhir`: it is an element of FHIR, whose `a` and `mo` stand for years and months of the calendar where such are
    compared with it, and on a calendar.

    Spec: https://hl7.org/fhir/R4/fhirpath.html#quantity
    """

    value: Decimal
    unit: str = "1"
    calendar: bool = False
    of_fhir: bool = field(default=False, compare=False, repr=False)

    def __str__(self) -> str:
        if not self.calendar:
            return f"{self.value} '{self.unit}'"
        return f"{self.value} {self.unit}" if self.value == 1 else f"{self.value} {self.unit}s"

    @property
    def ucum_code(self) -> str:
        """The unit as a UCUM code, calendar durations included."""
        return UCUM_OF_CALENDAR[self.unit] if self.calendar else self.unit

    def measure(self, *, calendar: bool = True) -> ucum.Unit | None:
        """The unit in base units; None when it is not UCUM. Without `calendar` a year is 365.25 days."""
        if self.calendar and calendar and self.unit in _CALENDAR_MONTHS:
            return _CALENDAR_MONTHS[self.unit]
        return ucum.unit(self.ucum_code)

    def on_calendar(self) -> "Quantity":
        """The quantity as one of the calendar, if it is an element of FHIR in a unit of time."""
        name = _CALENDAR_OF_UCUM.get(self.unit) if self.of_fhir and not self.calendar else None
        return Quantity(self.value, name, calendar=True) if name else self

    def as_json(self) -> dict[str, object]:
        """The quantity as a FHIR Quantity."""
        found: dict[str, object] = {"value": self.value, "unit": self.unit}
        if not self.calendar:
            found |= {"system": "http://unitsofmeasure.org", "code": self.unit}
        return found


def with_unit(value: Decimal, unit: str) -> Quantity:
    """A quantity of a unit as it stands in quotes: a UCUM code, or a calendar duration (`1 'day'`)."""
    calendar = CALENDAR_UNITS.get(unit)
    return Quantity(value, calendar, calendar=True) if calendar else Quantity(value, unit)


def parse_quantity(text: str) -> Quantity | None:
    """Read `1`, `1.5 'mg'` or `4 days`; None when it is none of these."""
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    if match["calendar"] is not None:
        name = CALENDAR_UNITS.get(match["calendar"])
        return Quantity(Decimal(match["value"]), name, calendar=True) if name else None
    return with_unit(Decimal(match["value"]), match["unit"] or "1")


def in_base_units(quantity: Quantity, *, calendar: bool = True) -> tuple[Fraction, object] | None:
    """Value in base units and dimensions; two quantities with the same dimensions can be compared."""
    unit = quantity.measure(calendar=calendar)
    if unit is None:
        # A unit that is not UCUM ("tablets") is comparable with itself.
        return Fraction(quantity.value), ("not UCUM", quantity.unit)
    return Fraction(quantity.value) * unit.factor + unit.shift, unit.dimensions


def _aligned(left: Quantity, right: Quantity) -> tuple[Quantity, Quantity]:
    """Both quantities, an element of FHIR as one of the calendar if the other one is."""
    if left.calendar == right.calendar:
        return left, right
    return left.on_calendar(), right.on_calendar()


def _measures(left: Quantity, right: Quantity, *, calendar: bool = True) -> tuple[ucum.Unit, ucum.Unit] | None:
    """Both units in base units of one kind; None when they do not measure the same thing."""
    a, b = left.measure(calendar=calendar), right.measure(calendar=calendar)
    if calendar and left.calendar and right.calendar and a and b and a.dimensions != b.dimensions:
        a, b = _CALENDAR_SECONDS.get(left.unit, a), _CALENDAR_SECONDS.get(right.unit, b)
    return (a, b) if a and b and a.dimensions == b.dimensions else None


def _same_unit(left: Quantity, right: Quantity) -> bool:
    return left.unit == right.unit and left.calendar == right.calendar


def compare(left: Quantity, right: Quantity) -> int | None:
    """-1, 0 or 1; None when the units do not measure the same thing."""
    left, right = _aligned(left, right)
    if _same_unit(left, right):
        return (left.value > right.value) - (left.value < right.value)
    units = _measures(left, right)
    if units is None:
        return None
    a = Fraction(left.value) * units[0].factor + units[0].shift
    b = Fraction(right.value) * units[1].factor + units[1].shift
    return (a > b) - (a < b)


def equal(left: Quantity, right: Quantity) -> bool | None:
    """Whether two quantities are equal: False for kilograms and metres, None where that cannot be known.

    It cannot for a unit that is not UCUM, and between a year or month of the calendar and a definite duration.

    Spec: https://hl7.org/fhirpath/N1/#quantity-equality
    """
    order = compare(left, right)
    if order is not None:
        return order == 0
    a, b = (each.measure(calendar=False) for each in _aligned(left, right))
    return None if a is None or b is None or a.dimensions == b.dimensions else False


def add(left: Quantity, right: Quantity, sign: int) -> Quantity | None:
    """The sum or difference in the finer of the two units; None when they do not measure the same thing.

    Spec: https://hl7.org/fhirpath/N1/#math-2
    """
    left, right = _aligned(left, right)
    units = _measures(left, right)
    unit = right if units and units[1].factor < units[0].factor else left
    a, b = convert(left, unit), convert(right, unit)
    return None if a is None or b is None else Quantity(a + sign * b, unit.unit, unit.calendar)


def convert(quantity: Quantity, target: Quantity, *, calendar: bool = True) -> Decimal | None:
    """The value in the unit of another quantity; None when the units do not measure the same thing."""
    quantity, target = _aligned(quantity, target)
    if _same_unit(quantity, target):
        return quantity.value
    units = _measures(quantity, target, calendar=calendar)
    if units is None:
        return None
    source, goal = units
    return to_decimal((Fraction(quantity.value) * source.factor + source.shift - goal.shift) / goal.factor)


def to_decimal(value: Fraction) -> Decimal:
    """A fraction as a decimal of up to 28 digits."""
    return Decimal(value.numerator) / Decimal(value.denominator)


def multiply(left: Quantity, right: Quantity) -> Quantity:
    """The product, with the product of the units."""
    return Quantity(left.value * right.value, _product(left.ucum_code, right.ucum_code))


def divide(left: Quantity, right: Quantity) -> Quantity | None:
    """The quotient, with the quotient of the units; None when divided by zero."""
    if right.value == 0:
        return None
    if left.ucum_code == right.ucum_code:
        return Quantity(left.value / right.value, "1")
    same = convert(right, left)
    if same is not None:
        return Quantity(left.value / same, "1") if same else None
    return Quantity(left.value / right.value, _quotient(left.ucum_code, right.ucum_code))


def _product(left: str, right: str) -> str:
    if "1" in (left, right):
        return right if left == "1" else left
    return f"{_group(left)}.{_group(right)}"


def _quotient(left: str, right: str) -> str:
    return left if right == "1" else f"{_group(left)}/{_group(right)}"


def _group(code: str) -> str:
    return f"({code})" if "/" in code or "." in code else code
