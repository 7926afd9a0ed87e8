"""The numbers in Observations, brought to one unit."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from fhir_server.errors import InvalidResource
from fhir_server.fhirpath import ucum
from fhir_server.operations.observed import Json, codings
from fhir_server.search.units import UCUM

_MOST = Decimal("1E+50")


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit of a Quantity: what it is shown as, and its code if it is coded."""

    text: str = ""
    system: str = ""
    code: str = ""

    @classmethod
    def of(cls, quantity: Json) -> "Unit":
        """Return the unit of a Quantity."""
        code = str(quantity.get("code", ""))
        return cls(str(quantity.get("unit", code)), str(quantity.get("system", "")), code)

    def same(self, other: "Unit") -> bool:
        """Tell whether both are one unit, however they are shown."""
        if self.code or other.code:
            return (self.system, self.code) == (other.system, other.code)
        return self.text == other.text

    def json(self) -> dict[str, str]:
        """Return the members of a Quantity that say it."""
        named = {"unit": self.text, "system": self.system, "code": self.code}
        return {key: value for key, value in named.items() if value}

    def scale(self) -> ucum.Unit | None:
        """Return what it is in base units; None if it is no UCUM unit."""
        return ucum.unit(self.code.replace("[IU]", "[iU]")) if self.system == UCUM else None

    def derived(self, suffix: str) -> "Unit":
        """Return the unit squared (`2`) or per time (`/h`)."""
        if self.code == "1" or not self.text:
            return Unit("/h", UCUM, "/h") if suffix == "/h" else self
        text, code = (f"({name}){suffix}" if name else "" for name in (self.text, self.code))
        return Unit(text, self.system, code)

    def difference(self) -> tuple[float, "Unit"]:
        """Return how many of which unit a difference of one is: kelvin for temperatures, whose zero is elsewhere."""
        scale = self.scale()
        if scale is None or not scale.shift:
            return 1.0, self
        (base, _), *_ = scale.dimensions
        return float(scale.factor), Unit(base, UCUM, base)


@dataclass(frozen=True, slots=True)
class Measured:
    """One number with its unit and its time in microseconds."""

    value: float
    unit: Unit
    at: int | None


def values_of(resource: Json, system: str | None, code: str) -> Iterator[Mapping[str, Any]]:
    """Yield what holds a value for a code: the observation itself, or components of it."""
    for holder in (resource, *resource.get("component", ())):
        names = codings(holder.get("code"))
        if any(code == own and system in (None, of) for of, own in names):
            yield holder


def measured(holder: Json, at: int | None) -> Measured | None:
    """Return the number that an observation or component holds; None for no value, or one that is only a bound."""
    quantity = holder.get("valueQuantity", {"value": holder.get("valueInteger")})
    value = quantity.get("value") if isinstance(quantity, dict) and "comparator" not in quantity else None
    # Nothing that is measured comes near the bound, and squares of greater numbers are none that a float holds.
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or abs(Decimal(value)) > _MOST:
        return None
    return Measured(float(value), Unit.of(quantity), at)


def in_one_unit(found: Sequence[Measured]) -> tuple[list[float], Unit]:
    """Return the numbers in the unit of the first. Raises InvalidResource where units are not of one dimension."""
    unit = found[0].unit if found else Unit()
    return [_in(unit, one) for one in found], unit


def _in(unit: Unit, one: Measured) -> float:
    if unit.same(one.unit):
        return one.value
    own, wanted = one.unit.scale(), unit.scale()
    if own is None or wanted is None or own.dimensions != wanted.dimensions:
        raise InvalidResource(
            f"values in {unit.text or 'no unit'} and in {one.unit.text or 'no unit'} have no statistic in common",
            expression="Observation.value",
        )
    converted = (Fraction(one.value) * own.factor + own.shift - wanted.shift) / wanted.factor
    return float(f"{float(converted):.12g}")
