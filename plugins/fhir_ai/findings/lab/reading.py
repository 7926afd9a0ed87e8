"""Reading: what one laboratory Observation says, or what is wrong with its value or unit. Nothing is guessed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from fhir_ai.findings.lab.analytes import Analyte, by_loinc
from fhir_ai.inputs.diagnoses import codings
from fhir_ai.inputs.newest import when
from fhir_ai.inputs.tables import LOINC
from fhir_ai.inputs.units import UCUM, UnitFault, in_unit

Severity = Literal["high", "moderate", "low"]
ORDER: Final[Mapping[Severity, int]] = {"high": 0, "moderate": 1, "low": 2}
USABLE: Final = frozenset(("final", "amended", "corrected", "preliminary"))
_OTHERS: Final = ("mg/dL", "g/dL", "ug/dL", "umol/L", "mmol/L", "nmol/L", "g/L", "mg/L", "ng/mL")


@dataclass(frozen=True, slots=True)
class Finding:
    """What stands out. check: which of them found it. references: other results that it rests on."""

    check: str
    severity: Severity
    because: str
    source: str = ""
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """One result in the unit of its analyte. comparator: `<` and the like, where it is only a bound."""

    analyte: Analyte
    value: float
    at: int
    reference: str
    code: str
    resource: Mapping[str, Any]
    comparator: str = ""

    def said(self) -> str:
        """Return the value in words."""
        return f"{self.comparator}{self.value:.4g} {self.analyte.unit}"


def analyte_of(observation: Mapping[str, Any]) -> tuple[Analyte, str] | None:
    """Return the analyte that an Observation is of, and the LOINC code that says so."""
    for system, code in codings(observation.get("code", {})):
        if system == LOINC and code in by_loinc():
            return by_loinc()[code], code
    return None


def read_result(observation: Mapping[str, Any], analyte: Analyte, code: str) -> Reading | Finding:
    """Return the result, or why it cannot be judged."""
    quantity = observation.get("valueQuantity")
    if not isinstance(quantity, Mapping):
        return Finding("unit", "low", f"{analyte.title}: it has no quantity as its value")
    bare = {key: each for key, each in quantity.items() if key != "comparator"}
    try:
        value = in_unit(bare, analyte.unit, name=analyte.name, molar_mass=analyte.masses.get(code, analyte.mass))
    except UnitFault as fault:
        return Finding("unit", "moderate", f"{analyte.title}: {fault}{_hint(bare, analyte, code)}")
    if not analyte.is_plausible(value):
        low, high = analyte.plausible
        limits = f"{value:.4g} {analyte.unit} is implausible (expected {low:g} to {high:g})"
        return Finding("implausible", "moderate", f"{analyte.title}: {limits}{_hint(bare, analyte, code)}")
    at, _ = when(observation)
    reference = f"Observation/{observation['id']}" if observation.get("id") else ""
    return Reading(analyte, value, at or 0, reference, code, observation, str(quantity.get("comparator", "")))


def bounds_of(reading: Reading, given: Mapping[str, Any]) -> tuple[float | None, float | None] | None:
    """Return low and high of a referenceRange in the unit of the analyte; None where its unit cannot be read."""
    found: list[float | None] = []
    for name in ("low", "high"):
        quantity = given.get(name)
        if quantity is None:
            found.append(None)
            continue
        value = _bound(reading, quantity)
        if value is None:
            return None
        found.append(value)
    return found[0], found[1]


def _bound(reading: Reading, quantity: Mapping[str, Any]) -> float | None:
    """Read a limit; one without a coded unit is in that of the value, where its text says the same or nothing."""
    own = reading.resource.get("valueQuantity", {})
    if "code" not in quantity and quantity.get("unit") in (None, own.get("unit"), own.get("code")):
        quantity = {"value": quantity.get("value"), "system": own.get("system"), "code": own.get("code")}
    analyte = reading.analyte
    try:
        mass = analyte.masses.get(reading.code, analyte.mass)
        return in_unit(quantity, analyte.unit, name=analyte.name, molar_mass=mass)
    except UnitFault:
        return None


def _hint(quantity: Mapping[str, Any], analyte: Analyte, code: str) -> str:
    """Say in which units the number could be; which one it is, is for somebody to find out."""
    value = quantity.get("value")
    if not isinstance(value, int | float | Decimal) or isinstance(value, bool):
        return ""
    would = [unit for unit in _units(analyte) if _fits({"value": value, "unit": unit}, analyte, code)]
    return f"; the number would be plausible in {' or '.join(would)}" if would else ""


def _units(analyte: Analyte) -> Sequence[str]:
    return tuple(dict.fromkeys((analyte.unit, *_OTHERS)))


def _fits(guess: Mapping[str, Any], analyte: Analyte, code: str) -> bool:
    quantity = {"value": guess["value"], "system": UCUM, "code": guess["unit"]}
    mass = analyte.masses.get(code, analyte.mass)
    try:
        return analyte.is_plausible(in_unit(quantity, analyte.unit, name=analyte.name, molar_mass=mass))
    except UnitFault:
        return False
