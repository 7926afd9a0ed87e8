"""A small world to be counted, what is asked of it, and what the answers are on every engine."""

from collections.abc import Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from fhir_server.storage.base.counting import By, Group
from tests.conformance.storage.world import EXTRACTOR, Resource, observation, patient

LOINC = "http://loinc.org"
GENDER = "http://hl7.org/fhir/administrative-gender"
NAIROBI = ZoneInfo("Africa/Nairobi")
LONG = "c" * 300


def _code(*codes: str, system: str | None = LOINC) -> dict[str, Any]:
    return {"coding": [{"code": code, **({"system": system} if system else {})} for code in codes]}


WORLD: Sequence[Resource] = (
    patient("f", gender="female", birthDate="1970", generalPractitioner=[{"reference": "Practitioner/x"}]),
    patient("m", gender="male", birthDate="1970-03-04", managingOrganization={"reference": "http://far.example/O/1"}),
    patient("n", gender="male"),
    {"resourceType": "ValueSet", "id": "v", "status": "active", "version": "V1"},
    {"resourceType": "ValueSet", "id": "w", "status": "active", "version": "v1"},
    observation("1", code=_code("a"), subject={"reference": "Patient/f"}, effectiveDateTime="2020-01-31T22:30:00Z"),
    observation("2", code=_code("a", "b"), subject={"reference": "Patient/f"}, effectiveDateTime="2020-02"),
    observation("3", code=_code("b"), subject={"reference": "Patient/m"}, effectivePeriod={"end": "2021-05-01"}),
    observation("4", code={"text": "said"}, subject={"reference": "#c"}, contained=[patient("c")]),
    observation("5", code=_code("a", system=None), effectivePeriod={"start": "2020-12-31", "end": "2021-02-01"}),
    observation("6", code=_code(LONG), effectiveDateTime="2020-02-02", subject={"reference": "urn:uuid:1"}),
)


def by(text: str, type_: str, zone: tzinfo = UTC) -> By:
    """Return how resources are told apart by `code` or `date:month`."""
    code, _, unit = text.partition(":")
    parameter = EXTRACTOR.registry.of(type_)[code]
    return By(code, parameter.type, unit or "month", zone, parameter.ignores_case)  # type: ignore[arg-type]


CASES: Sequence[tuple[str, Sequence[str], tzinfo, int, Mapping[Group, int]]] = (
    ("Patient", ["gender"], UTC, 3, {((GENDER, "male"),): 2, ((GENDER, "female"),): 1}),
    ("Patient?gender=male", ["birthdate:year"], UTC, 2, {(("1970",),): 1, (None,): 1}),
    ("Patient", ["birthdate:day"], UTC, 3, {(("1970-01-01",),): 1, (("1970-03-04",),): 1, (None,): 1}),
    ("Patient", ["general-practitioner"], UTC, 3, {(("Practitioner/x",),): 1, (None,): 2}),
    ("Patient", ["organization"], UTC, 3, {(("http://far.example/O/1",),): 1, (None,): 2}),
    ("Patient", ["_lastUpdated:year"], UTC, 3, {(("2023",),): 3}),
    ("Patient?gender=unknown", ["gender"], UTC, 0, {}),
    ("Patient", ["deceased"], UTC, 3, {(("", "false"),): 3}),
    ("ValueSet", ["version"], UTC, 2, {(("", "v1"),): 2}),
    ("Observation", ["code"], UTC, 6, {
        ((LOINC, "a"),): 2, ((LOINC, "b"),): 2, (("", "a"),): 1, ((LOINC, LONG),): 1, (None,): 1,
    }),
    ("Observation", ["date"], UTC, 6, {(("2020-01",),): 1, (("2020-02",),): 2, (("2020-12",),): 1, (None,): 2}),
    ("Observation", ["date"], NAIROBI, 6, {(("2020-02",),): 3, (("2020-12",),): 1, (None,): 2}),
    ("Observation?date=ge2020-02", ["date:year", "code"], UTC, 4, {
        (("2020",), (LOINC, "a")): 1, (("2020",), (LOINC, "b")): 1, (("2020",), ("", "a")): 1,
        (("2020",), (LOINC, LONG)): 1, (None, (LOINC, "b")): 1,
    }),
    ("Observation?date=2020-02", ["date:day"], UTC, 2, {(("2020-02-01",),): 1, (("2020-02-02",),): 1}),
    ("Observation?code=a", ["subject"], UTC, 3, {(("Patient/f",),): 2, (None,): 1}),
    ("Observation?subject:Patient.gender=female", ["code"], UTC, 2, {((LOINC, "a"),): 2, ((LOINC, "b"),): 1}),
    ("Observation?status:not=final", ["code"], UTC, 0, {}),
)  # fmt: skip
