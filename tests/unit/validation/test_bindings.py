"""Required bindings: codes, codings and concepts."""

from typing import Any

import pytest

from tests.unit.validation.builders import check, condition, observation, only_issue, patient, places

CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"


def test_bad_code_is_named_with_the_good_ones() -> None:
    issue = only_issue(patient(gender="man"))
    assert issue.code == "code-invalid"
    assert issue.diagnostics == (
        "'man' is not in http://hl7.org/fhir/ValueSet/administrative-gender: expected male, female, other, unknown"
    )


def test_bad_code_of_a_long_value_set_is_named_with_the_nearest() -> None:
    definition = {
        "resourceType": "OperationDefinition",
        "name": "a",
        "status": "draft",
        "kind": "operation",
        "code": "a",
        "system": True,
        "type": False,
        "instance": False,
        "resource": ["Patinet"],
    }
    issue = only_issue(definition)
    assert issue.expression == ("OperationDefinition.resource[0]",)
    assert issue.diagnostics.endswith("did you mean Patient?")


@pytest.mark.parametrize("code", ["Male", "MALE", "male ", "", 5, True, None, ["male"], {"code": "male"}])
def test_code_must_be_exactly_one_of_the_set(code: Any) -> None:
    assert places({**patient(), "gender": code}) == ["Patient.gender"]


def test_code_from_a_set_that_cannot_be_listed_is_only_held_to_the_form_of_a_code() -> None:
    assert check(patient(photo=[{"contentType": "image/anything"}])) == []
    assert places(patient(photo=[{"contentType": "image /png"}])) == []
    assert places(patient(photo=[{"contentType": " image/png"}])) == ["Patient.photo[0].contentType"]


def test_code_of_a_binding_that_is_not_required_is_free() -> None:
    assert check(patient(language="xx-klingon")) == []
    assert check(observation(interpretation=[{"coding": [{"system": "u:mine", "code": "fine"}]}])) == []


@pytest.mark.parametrize(
    "status",
    [
        {"coding": [{"system": CLINICAL, "code": "active"}]},
        {"coding": [{"system": "u:mine", "code": "x"}, {"system": CLINICAL, "code": "active"}]},
        {"coding": [{"system": CLINICAL, "code": "active"}], "text": "Active"},
        {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]},
    ],
)
def test_concept_with_a_coding_from_the_set_is_accepted(status: Any) -> None:
    assert check(condition(clinicalStatus=status)) == []


@pytest.mark.parametrize(
    "status",
    [
        {"coding": [{"system": CLINICAL, "code": "live"}]},
        {"coding": [{"system": "u:mine", "code": "active"}]},
        {"coding": [{"code": "active"}]},
        {"coding": [{"system": CLINICAL}]},
        {"text": "active"},
    ],
)
def test_concept_without_a_coding_from_the_set_is_refused(status: Any) -> None:
    issue = only_issue(condition(clinicalStatus=status))
    assert issue.expression == ("Condition.clinicalStatus",)
    assert issue.code == "code-invalid"
    assert "expected active, recurrence, relapse, inactive, remission, resolved" in issue.diagnostics
