"""Codes by themselves and in the value sets of bindings."""

from typing import Any

import pytest

from fhir_server.model.json import encode
from fhir_server.packages import Entry
from fhir_server.validation import Wanted
from tests.builders import observation, patient, resource
from tests.unit.validation.rules.full import errors, told, validator, validator_with

MARITAL = "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus"


def married(**coding: Any) -> dict[str, Any]:
    return patient(maritalStatus={"coding": [coding]})


def test_a_code_that_its_system_has_not_is_an_error_at_the_code() -> None:
    assert errors(married(system=MARITAL, code="nosuch")) == [("Patient.maritalStatus.coding[0].code", "code-invalid")]


def test_another_display_is_an_error_at_the_display() -> None:
    assert errors(married(system=MARITAL, code="M", display="Divorced")) == [
        ("Patient.maritalStatus.coding[0].display", "invalid")
    ]


@pytest.mark.parametrize("display", ["Married", "married", " Married ", None])
def test_case_and_blanks_of_a_display_do_not_count(display: str | None) -> None:
    coding = {"system": MARITAL, "code": "M"} | ({"display": display} if display else {})
    assert errors(married(**coding)) == []


def test_a_relative_system_is_an_error() -> None:
    assert errors(married(system="marital", code="M")) == [("Patient.maritalStatus.coding[0].system", "code-invalid")]


def test_a_value_set_is_no_system() -> None:
    system = "http://hl7.org/fhir/ValueSet/marital-status"
    assert errors(married(system=system, code="M")) == [("Patient.maritalStatus.coding[0].system", "invalid")]


def test_a_code_without_a_system_is_a_warning() -> None:
    assert ("Patient.maritalStatus.coding[0]", "code-invalid") in told(married(code="M"), "warning")


def test_an_unknown_system_is_a_warning_that_names_it() -> None:
    found = validator().check(married(system="http://x.org/cs", code="1"))
    (issue,) = [one for one in found if one.code == "not-found"]
    assert issue.severity == "warning" and "http://x.org/cs" in issue.diagnostics


def test_an_extensible_binding_warns_of_codes_from_elsewhere() -> None:
    coding = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}
    assert told(married(**coding), "warning") == [("Patient.maritalStatus", "code-invalid")]
    assert errors(married(**coding)) == []


def test_an_extensible_binding_warns_of_text_alone() -> None:
    assert told(patient(maritalStatus={"text": "x"}), "warning") == [("Patient.maritalStatus", "code-invalid")]


def test_a_preferred_binding_only_informs() -> None:
    body = observation(category=[{"coding": [{"system": MARITAL, "code": "M"}]}])
    assert ("Observation.category[0]", "code-invalid") in told(body, "information")
    assert errors(body) == []


def test_a_language_has_to_be_one() -> None:
    assert errors(patient(language="xx-not-a-language"))
    assert errors(patient(language="de-CH")) == []
    assert told(patient(language="de-CH"), "information") == []


def test_a_required_binding_that_cannot_be_checked_is_marked_as_such() -> None:
    body = resource("Invoice", None, status="draft", totalNet={"value": 1, "currency": "USD"})
    found = validator().look(body, None, Wanted())
    unchecked = [issue for issue, origin in zip(found.issues, found.origins, strict=True) if origin == "unchecked"]
    known = validator().knowledge.terms.check("http://hl7.org/fhir/ValueSet/currencies", None, "USD").result
    assert bool(unchecked) is (known is None)


def test_a_bound_value_set_of_the_library_counts() -> None:
    cs = resource(
        "CodeSystem", "c", url="http://x.org/cs", status="active", content="complete", concept=[{"code": "a"}]
    )
    entry = Entry("CodeSystem/c", "CodeSystem", cs["url"], "", encode(cs))
    known = validator_with(entry)
    body = married(system="http://x.org/cs", code="b")
    assert "Patient.maritalStatus.coding[0].code" in [issue.expression[0] for issue in known.check(body)]


@pytest.mark.parametrize(
    ("uri", "bad"),
    [
        ("urn:uuid:9b7b2b3c-7c6d-4f6a-8a7e-1d2c3b4a5f60", False),
        ("urn:uuid:9b7b2b3c", True),
        ("urn:oid:1.2.840.10008", False),
        ("urn:oid:1.2.03", True),
        ("urn:oid:X.Y", True),
        ("urn:ietf:rfc:3986", False),
    ],
)
def test_uuids_and_oids_of_uris_have_their_form(uri: str, bad: bool) -> None:
    assert bool(errors(patient(identifier=[{"system": uri, "value": "http://x.org/1"}]))) is bad


def test_a_canonical_url_names_a_resource_of_a_type_that_may_stand_there() -> None:
    body = resource(
        "QuestionnaireResponse", None, status="completed", questionnaire="http://hl7.org/fhir/ValueSet/languages"
    )
    assert ("QuestionnaireResponse.questionnaire", "invalid") in errors(body)
    body["questionnaire"] = "http://example.org/Questionnaire/unknown"
    assert errors(body) == []


def test_texts_that_look_like_html_are_told() -> None:
    body = patient(name=[{"text": "<script>alert(1)</script>", "given": ["a < b", "<b>x</b>"]}])
    assert told(body, "information") == [("Patient.name[0].text", "invalid"), ("Patient.name[0].given[1]", "invalid")]
    assert "error" in {issue.severity for issue in validator().check(body, security="error")}
