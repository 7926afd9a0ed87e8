"""Data that is not as the definitions have it."""

from typing import Any

import pytest

from fhir_server.fhirpath import evaluate


@pytest.mark.parametrize("companions", [[1], ["x"], [[]], [True, None]])
def test_companions_that_are_no_objects_count_for_nothing(companions: list[Any]) -> None:
    patient = {"resourceType": "Patient", "name": [{"given": ["Ann"], "_given": companions}]}
    assert evaluate(patient, "Patient.name.given.extension") == []
    assert evaluate(patient, "Patient.name.given") == ["Ann"]
    assert evaluate(patient, "Patient.descendants().count() > 0") == [True]
