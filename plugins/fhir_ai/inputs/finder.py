"""Finder: the value of each input that a record has, with where it stands, or what is wrong with it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, Literal

from fhir_ai.inputs.diagnoses import Diagnosed, diagnosed, treated
from fhir_ai.inputs.newest import holders, usable, when
from fhir_ai.inputs.record import Record
from fhir_ai.inputs.tables import ABOVE, ANSWERS, DIAGNOSES, INPUTS, LOINC, MEDICINES, PLACES, SNOMED, add_place
from fhir_ai.inputs.times import age_at, hours_before
from fhir_ai.inputs.units import UnitFault, in_unit
from fhir_ai.scores.score import Input, Value

State = Literal["found", "missing", "stale", "implausible", "unit", "contradictory", "assumed"]

_WINDOWS = {"pregnant": 300 * 24.0}
"""Hours for which a record counts where the vocabulary sets no end, and nature does."""
_ALIKE = 0.1
_AHEAD = -0.1


@dataclass(frozen=True, slots=True)
class Found:
    """What became of one input. reference: of the resource it stands in. because: what is wrong, or assumed."""

    name: str
    title: str
    state: State
    value: Value | None = None
    because: str = ""
    reference: str = ""
    at: int = 0


@dataclass(frozen=True, slots=True)
class _Point:
    """One coded value: the Observation's reference and time, its code, and the element that has value[x]."""

    reference: str
    at: int
    code: str
    holder: Mapping[str, Any]


class Finder:
    """Finds inputs in one record. `given` are inputs that the caller states for this call alone."""

    def __init__(self, record: Record, given: Mapping[str, Any] | None = None) -> None:
        self._record, self._given = record, given or {}
        self._known: dict[int, tuple[Input, Found]] = {}
        self._points: dict[tuple[str, str], list[_Point]] = defaultdict(list)
        for observation in record.observations:
            self._index(observation)
        self._named = {name for key in self._points for name in _names().get(key, ())}
        self._named |= {code for system, code in self._points if system == INPUTS}
        for points in self._points.values():
            points.sort(key=lambda point: (-point.at, point.reference))

    @property
    def record(self) -> Record:
        """The record that it looks in."""
        return self._record

    @property
    def given(self) -> Mapping[str, Any]:
        """The inputs that the caller states."""
        return self._given

    def find(self, wanted: Input) -> Found:
        """Look for one input, newest within its window; what was found is kept for the next score that asks."""
        known = self._known.get(id(wanted))
        if known is None:
            known = self._known[id(wanted)] = (wanted, self._find(wanted))
        return known[1]

    def _find(self, wanted: Input) -> Found:
        if wanted.name in self._given:
            return self._stated(wanted)
        found = self._person(wanted) or self._measured(wanted) or self._listed(wanted)
        if found is not None:
            return found
        hidden = self._hidden(wanted)
        if hidden:
            said = f"you may not see {hidden} of this patient, so it is not known"
            return Found(wanted.name, wanted.title, "missing", because=said)
        if wanted.default is not None:
            said = f"not recorded, counted as {_said(wanted.default)}"
            return Found(wanted.name, wanted.title, "assumed", wanted.default, said)
        return Found(wanted.name, wanted.title, "missing", because="it is not recorded")

    def series(self, wanted: Input) -> list[Found]:
        """Return all values of a measurement that can be read, of any age, the newest first; those given before."""
        stated = [self._stated(wanted)] if wanted.name in self._given else []
        points = sorted(
            (point for key in _keys(wanted.name) for point in self._points.get(key, ())), key=lambda each: -each.at
        )
        return [each for each in (*stated, *(self._read(wanted, point) for point in points)) if each.state == "found"]

    def _stated(self, wanted: Input) -> Found:
        value = self._given[wanted.name]
        try:
            return self._checked(wanted, _plain(value, wanted), "", self._record.now)
        except UnitFault as fault:
            return Found(wanted.name, wanted.title, "unit", because=f"as given: {fault}")

    def _person(self, wanted: Input) -> Found | None:
        """Age and sex are those of the Patient."""
        patient = self._record.patient
        if wanted.name not in ("age", "sex"):
            return None
        reference = f"Patient/{patient['id']}" if patient.get("id") else ""
        value: Value | None = age_at(patient.get("birthDate"), self._record.now)
        if wanted.name == "age" and value is None:
            said = "the Patient has no birth date that can be reckoned with"
        elif wanted.name == "sex":
            value = patient.get("gender")
            said = f"the Patient's gender is {value or 'not recorded'}; the formula has one for male and female"
            value = value if value in wanted.codes else None
        if value is None:
            return Found(wanted.name, wanted.title, "missing", because=said, reference=reference)
        return self._checked(wanted, value, reference, self._record.now)

    def _measured(self, wanted: Input) -> Found | None:
        if wanted.name not in self._named:
            return None
        points = [point for key in _keys(wanted.name) for point in self._points.get(key, ())]
        newest = max(points, key=lambda point: point.at)
        hours = hours_before(self._record.now, newest.at)
        if hours < _AHEAD:
            return self._wrong(wanted, newest, "implausible", "its time lies in the future")
        window = wanted.window or _WINDOWS.get(wanted.name, 0)
        if window and hours > window:
            if wanted.kind == "boolean" and wanted.default is not None:
                return None
            said = f"the newest is {_span(hours)} old; it counts for {_span(window)}"
            return self._wrong(wanted, newest, "stale", said)
        found = self._read(wanted, newest)
        for other in points:
            if other.at == newest.at and other is not newest and found.state == "found":
                again = self._read(wanted, other)
                if again.state == "found" and not _alike(found.value, again.value):
                    said = f"recorded at the same time as {_said(found.value)} and as {_said(again.value)}"
                    return self._wrong(wanted, newest, "contradictory", said)
        return found

    def _read(self, wanted: Input, point: _Point) -> Found:
        try:
            value = _value(wanted, point)
        except UnitFault as fault:
            return self._wrong(wanted, point, "unit", str(fault))
        return self._checked(wanted, value, point.reference, point.at)

    def _checked(self, wanted: Input, value: Value, reference: str, at: int) -> Found:
        plausible = value in wanted.codes if wanted.kind == "code" else True
        if wanted.kind == "number" and not isinstance(value, bool | str):
            plausible = wanted.low <= value <= wanted.high
        if not plausible:
            limits = ", ".join(wanted.codes) or f"{wanted.low:g} to {wanted.high:g} {wanted.unit}".strip()
            said = f"{_said(value)} is implausible; expected is {limits}"
            return Found(wanted.name, wanted.title, "implausible", None, said, reference, at)
        return Found(wanted.name, wanted.title, "found", value, "", reference, at)

    def _listed(self, wanted: Input) -> Found | None:
        """Look for a diagnosis or a treatment."""
        entry: Diagnosed | None = None
        if wanted.name in DIAGNOSES:
            since = self._record.now - int(_WINDOWS.get(wanted.name, 0) * 3_600_000) if wanted.name in _WINDOWS else 0
            entry = diagnosed(self._record.conditions, DIAGNOSES[wanted.name], since)
        elif wanted.name in MEDICINES:
            entry = treated(self._record.medicines, MEDICINES[wanted.name])
        if entry is None:
            return None
        return Found(wanted.name, wanted.title, "found", True, "", entry.reference, entry.at)

    def _hidden(self, wanted: Input) -> str:
        """Return the type that would tell of an input, if the caller may see none of it: that is no answer of no."""
        hidden = self._record.hidden
        if not hidden:
            return ""
        if wanted.name in DIAGNOSES:
            return "Conditions" if "Condition" in hidden else ""
        if wanted.name in MEDICINES:
            return "medicines" if hidden & {"MedicationRequest", "MedicationStatement"} else ""
        return "Observations" if "Observation" in hidden and wanted.name not in ("age", "sex") else ""

    def _wrong(self, wanted: Input, point: _Point, state: State, said: str) -> Found:
        return Found(wanted.name, wanted.title, state, None, said, point.reference, point.at)

    def _index(self, observation: Mapping[str, Any]) -> None:
        at, _ = when(observation)
        if at is None or not usable(observation):
            return
        reference = f"Observation/{observation['id']}" if observation.get("id") else ""
        for holder in holders(observation):
            for coding in holder.get("code", {}).get("coding", ()):
                key = (coding.get("system", ""), coding.get("code", ""))
                self._points[key].append(_Point(reference, at, key[1], holder))


def learn(name: str, codes: tuple[str, ...]) -> None:
    """Let an input of a registered model be found under its LOINC codes in this process."""
    if add_place(name, codes):
        _keys.cache_clear()
        _names.cache_clear()


@cache
def _keys(name: str) -> tuple[tuple[str, str], ...]:
    """Return the codes that an input is recorded under."""
    place = PLACES.get(name)
    return ((INPUTS, name), *((LOINC, code) for code in (place.codes if place else ())))


@cache
def _names() -> Mapping[tuple[str, str], tuple[str, ...]]:
    """Return the inputs that are recorded under each code."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for name in PLACES:
        for key in _keys(name):
            found[key] = (*found.get(key, ()), name)
    return found


def _value(wanted: Input, point: _Point) -> Value:
    """Return what an element says of an input. Raises UnitFault: it cannot be read as one."""
    holder = point.holder
    if point.code in ABOVE:
        unit, limit = ABOVE[point.code]
        return in_unit(holder.get("valueQuantity", {}), unit) > limit
    if "valueCodeableConcept" in holder:
        return _answer(wanted, holder["valueCodeableConcept"])
    if "valueQuantity" in holder:
        if wanted.kind != "number":
            raise UnitFault("it is a quantity, and should be a code or yes/no")
        place = PLACES.get(wanted.name)
        mass = place.mass_of(point.code) if place else 0
        return in_unit(holder["valueQuantity"], wanted.unit, name=wanted.name, molar_mass=mass)
    for key in ("valueBoolean", "valueInteger", "valueString"):
        if key in holder:
            return _plain(holder[key], wanted)
    raise UnitFault("its value has a type that cannot be read")


def _plain(value: Any, wanted: Input) -> Value:
    """Read what was given without FHIR's own types: a number only where it needs no unit."""
    if isinstance(value, Mapping):
        place = PLACES.get(wanted.name)
        return in_unit(value, wanted.unit, name=wanted.name, molar_mass=place.mass if place else 0)
    if wanted.kind == "boolean" and isinstance(value, bool):
        return value
    if wanted.kind == "code" and not isinstance(value, bool):
        return str(value)
    if wanted.kind == "number" and isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        if wanted.unit.startswith("{") or not wanted.unit:
            return float(value)
        raise UnitFault(f"it has no unit; give a quantity in {wanted.unit}")
    raise UnitFault("its value has a type that cannot be read")


def _answer(wanted: Input, concept: Mapping[str, Any]) -> Value:
    known = ANSWERS.get(wanted.name, {})
    for system, code in _codings(concept):
        if system in (SNOMED, LOINC) and code in known:
            return known[code]
        if system == INPUTS:
            return {"true": True, "false": False}.get(code, code) if wanted.kind == "boolean" else code
    raise UnitFault("its code is not one whose meaning is known")


def _codings(concept: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for coding in concept.get("coding", ()):
        yield coding.get("system", ""), coding.get("code", "")


def _alike(one: Value | None, two: Value | None) -> bool:
    if isinstance(one, int | float) and isinstance(two, int | float):
        return abs(one - two) <= _ALIKE * max(abs(one), abs(two))
    return one == two


def _said(value: Value | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _span(hours: float) -> str:
    return f"{hours:.0f} hours" if hours < 72 else f"{hours / 24:.0f} days"
