"""References: their forms, the types that they name, and what they may point at."""

import pytest

from fhir_server.validation import structure_validator
from fhir_server.validation.structure.plan import Plan
from fhir_server.validation.structure.references import UNTYPED, scope_of
from tests.unit.validation.builders import Json, check, observation, only_issue, patient

UUID = "urn:uuid:018f428e-34f6-4707-8009-5ad742f901e7"
PLAN: Plan = structure_validator().plan


@pytest.mark.parametrize(
    ("reference", "type_"),
    [
        ("Patient/1", "Patient"),
        ("Patient/1/_history/2", "Patient"),
        ("http://x.org/fhir/Patient/1", "Patient"),
        ("https://x.org/fhir/r4/Patient/1/_history/2", "Patient"),
        ("http://x.org/anything", UNTYPED),
        ("http://x.org/fhir/Foo/1", UNTYPED),
        ("http://x.org/fhir/Patient?identifier=1", UNTYPED),
        (UUID, UNTYPED),
        ("urn:oid:1.2.3", UNTYPED),
        ("resource:0", UNTYPED),
        ("Patient", None),
        ("Patient/", None),
        ("Patient/a b", None),
        ("Patient/a_b", None),
        (f"Patient/{'a' * 65}", None),
        ("Patient/1/", None),
        ("Patient/1/_history", None),
        ("Patient/1/_history/", None),
        ("Patient/1/2", None),
        ("/Patient/1", None),
        ("../Patient/1", None),
        ("Foo/1", None),
        ("patient/1", None),
        ("DomainResource/1", None),
        ("HumanName/1", None),
        ("Patient?identifier=1", None),
        ("#a", None),
        ("urn:uuid:", None),
        ("http://", None),
        ("http://x.org/a b", None),
        ("not a ref", None),
        ("1", None),
    ],
)
def test_type_that_a_reference_names(reference: str, type_: str | None) -> None:
    assert PLAN.references.type_of(reference) == type_
    assert PLAN.references[reference] == type_


@pytest.mark.parametrize("reference", ["Patient/1", "Group/1", UUID, "http://x.org/fhir/Device/1", "http://x.org/a"])
def test_reference_to_a_type_that_may_stand_there_is_accepted(reference: str) -> None:
    assert check(observation(subject={"reference": reference})) == []


def test_reference_to_another_type_says_what_may_stand_there() -> None:
    issue = only_issue(observation(subject={"reference": "http://x.org/fhir/Practitioner/1"}))
    assert issue.diagnostics == (
        "the reference is to Practitioner; expected a reference to Device, Group, Location or Patient"
    )


def test_reference_to_any_type_takes_all() -> None:
    basic = {"resourceType": "Basic", "code": {"text": "x"}}
    assert check({**basic, "subject": {"reference": "Practitioner/1"}}) == []
    assert "is not a resource type" in only_issue({**basic, "subject": {"reference": "Foo/1"}}).diagnostics


@pytest.mark.parametrize(
    "subject",
    [
        {"display": "somebody"},
        {"identifier": {"system": "u:x", "value": "1"}},
        {"type": "Patient", "identifier": {"value": "1"}},
        {"extension": [{"url": "u:a", "valueCode": "b"}]},
        {"reference": "Patient/1", "type": "Patient"},
        {"reference": "Patient/1", "type": "http://hl7.org/fhir/StructureDefinition/Patient"},
        {"reference": UUID, "type": "Patient"},
        {"reference": UUID, "type": "http://x.org/logical"},
        {"_reference": {"extension": [{"url": "u:a", "valueCode": "b"}]}},
    ],
)
def test_reference_without_a_literal_is_accepted(subject: Json) -> None:
    assert check(observation(subject=subject)) == []


@pytest.mark.parametrize(
    ("subject", "place", "text"),
    [
        ({"type": "Patient"}, "", "must have a reference, an identifier or a display"),
        ({"id": "a"}, "", "must have content beside its id"),
        ({"display": "x", "type": "Foo"}, ".type", "'Foo' is not a resource type"),
        ({"display": "x", "type": "http://hl7.org/fhir/StructureDefinition/Foo"}, ".type", "not a resource type"),
        ({"display": "x", "type": "Practitioner"}, ".type", "the type is Practitioner; expected"),
        ({"reference": "Patient/1", "type": "Group"}, ".type", "the type is Group, but the reference is to Patient"),
    ],
)
def test_reference_that_contradicts_itself_is_refused(subject: Json, place: str, text: str) -> None:
    issue = only_issue(observation(subject=subject))
    assert issue.expression == (f"Observation.subject{place}",)
    assert text in issue.diagnostics


def test_reference_with_an_extension_is_held_to_the_same_form() -> None:
    extension = {"extension": [{"url": "u:a", "valueCode": "b"}]}
    assert check(observation(subject={"reference": "Patient/1", "_reference": extension})) == []
    bad = observation(subject={"reference": "not a ref", "_reference": extension})
    assert only_issue(bad).expression == ("Observation.subject.reference",)


def test_references_deep_in_extensions_are_checked() -> None:
    bad = patient(extension=[{"url": "u:a", "extension": [{"url": "u:b", "valueReference": {"reference": "Foo/1"}}]}])
    assert only_issue(bad).expression == ("Patient.extension[0].extension[0].value.ofType(Reference).reference",)


def test_conditional_reference_is_one_only_within_a_transaction() -> None:
    entry = observation(subject={"reference": "Patient?identifier=u:x|1"})
    validator = structure_validator()
    assert len(validator.check(entry)) == 1
    assert validator.check(entry, transaction=True) == []
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": entry}]}
    assert check(bundle) == []
    assert only_issue({**bundle, "type": "collection"}).expression == ("Bundle.entry[0].resource.subject.reference",)
    wrong = observation(subject={"reference": "Practitioner?identifier=1"})
    assert "the reference is to Practitioner" in validator.check(wrong, transaction=True)[0].diagnostics


def test_local_references_that_lead_nowhere_are_not_remembered() -> None:
    bad = observation(subject={"reference": "#nowhere"})
    assert len(structure_validator().check(bad)) == 1
    assert not scope_of(bad, transaction=False).used


def test_memory_of_references_is_bounded() -> None:
    references = structure_validator().plan.references
    for number in range(20_000):
        assert references[f"Patient/{number}"] == "Patient"
    assert references["http://x.org/" + "a" * 5_000] == UNTYPED
    assert len(references) <= 8192
    assert max(map(len, references)) <= 256
