"""Profiles that FHIR asks for because of a code."""

from typing import Any

import pytest

from fhir_server.validation.resources.observation import implied_profiles


def observation(*codings: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "code": {"coding": list(codings)}}


def test_vital_signs_are_known_by_loinc_and_snomed_and_each_is_named_once() -> None:
    loinc, snomed = (
        {"system": s, "code": c} for s, c in (("http://loinc.org", "8310-5"), ("http://snomed.info/sct", "276885007"))
    )
    (found,) = implied_profiles(observation(loinc, snomed))
    assert (found.profile, found.code) == ("http://hl7.org/fhir/StructureDefinition/bodytemp", "8310-5")
    assert [one.code for one in implied_profiles(observation(snomed))] == ["276885007"]


@pytest.mark.parametrize(
    "resource",
    [
        None,
        {"resourceType": "Patient"},
        {"resourceType": "Observation", "code": 3},
        observation({"system": "http://loinc.org", "code": "1-8"}),
        observation({"system": "http://snomed.info/sct", "code": "8310-5"}),
        observation({"code": "8310-5"}, None, {"system": [], "code": {}}),
    ],
)
def test_other_things_imply_nothing(resource: Any) -> None:
    assert list(implied_profiles(resource)) == []
