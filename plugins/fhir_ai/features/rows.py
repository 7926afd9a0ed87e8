"""Rows: the rows of the views as the small record that inputs are looked for in; what no view gives is not there."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from fhir_ai.inputs import Record

Row = Mapping[str, Any]
ByType = Mapping[str, Sequence[Row]]
_MEDICINES: Final = {"MedicationRequest": "authoredOn", "MedicationStatement": "dateAsserted"}


def record_of(rows: ByType, now: int, *, cut: bool = False, hidden: frozenset[str] = frozenset()) -> Record:
    """Return the record that rows are, as of a time."""
    person = next(iter(rows.get("Patient", ())), {})
    patient = _full(
        resourceType="Patient", id=person.get("id"), birthDate=person.get("born"), gender=person.get("gender")
    )
    observations = [_observation(each) for each in _by_id(rows.get("Observation", ()))]
    conditions = [_condition(each) for each in _by_id(rows.get("Condition", ()))]
    medicines = [
        _medicine(type_, time, each) for type_, time in _MEDICINES.items() for each in _by_id(rows.get(type_, ()))
    ]
    return Record(patient, now, observations, conditions, medicines, cut, hidden)


def _by_id(rows: Iterable[Row]) -> Iterable[list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[str(row["id"])].append(row)
    return found.values()


def _observation(rows: Sequence[Row]) -> dict[str, Any]:
    """Return an Observation whose every coded value is a component."""
    first = rows[0]
    period = _full(start=first["began"], end=first["ended"])
    return _full(
        resourceType="Observation", id=first["id"], status=first["status"], effectiveDateTime=first["time"],
        effectiveInstant=first["instant"], effectivePeriod=period,
        component=[_component(row) for row in rows if row["code"]],
    )  # fmt: skip


def _component(row: Row) -> dict[str, Any]:
    answers = [dict(zip(("system", "code"), each.split("|", 1), strict=True)) for each in row["answers"]]
    quantity = _full(
        value=row["value"],
        code=row["unit"],
        system=row["unit_system"],
        unit=row["unit_text"],
        comparator=row["comparator"],
    )
    return _full(
        code={"coding": [_coding(row)]}, valueQuantity=quantity,
        valueCodeableConcept={"coding": answers} if answers else None,
        valueBoolean=row["flag"], valueInteger=row["whole"], valueString=row["text"],
    )  # fmt: skip


def _condition(rows: Sequence[Row]) -> dict[str, Any]:
    first = rows[0]
    return _full(
        resourceType="Condition", id=first["id"], clinicalStatus=_codes(first["clinical"]),
        verificationStatus=_codes(first["verification"]), onsetDateTime=first["onset"],
        onsetPeriod=_full(start=first["onset_start"]), recordedDate=first["recorded"],
        abatementString="yes" if first["ended"] else None, code={"coding": [_coding(row) for row in rows]},
    )  # fmt: skip


def _medicine(type_: str, time: str, rows: Sequence[Row]) -> dict[str, Any]:
    first = rows[0]
    return _full(
        resourceType=type_, id=first["id"], status=first["status"], doNotPerform=first.get("forbidden") or None,
        medicationCodeableConcept={"coding": [_coding(row) for row in rows]}, **{time: first["time"]},
    )  # fmt: skip


def _coding(row: Row) -> dict[str, Any]:
    return _full(system=row["system"], code=row["code"])


def _codes(codes: Sequence[str]) -> dict[str, Any] | None:
    return {"coding": [{"code": code} for code in codes]} if codes else None


def _full(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, {}, [])}
