"""Invariants: each is told at its element with its key, and holds where it should."""

from typing import Any

import pytest

from tests.builders import observation, patient, resource
from tests.unit.validation.rules.full import TOLD, XHTML, errors, issues, key_of, told

EN = "http://hl7.org/fhir/StructureDefinition/"
UCUM = "http://unitsofmeasure.org"


def questionnaire(*items: dict[str, Any]) -> dict[str, Any]:
    return resource("Questionnaire", None, status="draft", item=list(items))


def item(id_: str = "1", **more: Any) -> dict[str, Any]:
    return {"linkId": id_, "type": "string", "text": "?", **more}


def bundle(type_: str, *entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return resource("Bundle", None, type=type_, entry=list(entries), **more)


def profile(kind: str, *paths: str) -> dict[str, Any]:
    elements = [{"id": path, "path": path, "definition": "x", "min": 0, "max": "1"} for path in paths]
    return resource(
        "StructureDefinition", None, url="http://x.org/sd", name="Sd", status="draft", kind=kind, abstract=False,
        type="Patient", baseDefinition=EN + "Patient", derivation="constraint", snapshot={"element": elements},
    )  # fmt: skip


PERIOD = {"start": "2020-02-01", "end": "2020-01-01"}
CODE = {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}
REQUEST = {"method": "GET", "url": "Patient/1"}
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "per-1": (patient(name=[{"family": "A", "period": PERIOD}]), "Patient.name[0].period"),
    "cpt-2": (patient(telecom=[{"value": "1"}]), "Patient.telecom[0]"),
    "pat-1": (patient(contact=[{"relationship": [{"text": "x"}]}]), "Patient.contact[0]"),
    "att-1": (patient(photo=[{"data": "AAAA"}]), "Patient.photo[0]"),
    "qty-3": (observation(valueQuantity={"value": 1, "code": "mg"}), "Observation.value.ofType(Quantity)"),
    "rng-2": (
        observation(valueRange={"low": {"value": 2}, "high": {"value": 1}}),
        "Observation.value.ofType(Range)",
    ),
    "rat-1": (observation(valueRatio={"numerator": {"value": 2}}), "Observation.value.ofType(Ratio)"),
    "obs-3": (observation(referenceRange=[{"type": {"text": "x"}}]), "Observation.referenceRange[0]"),
    "obs-6": (observation(valueString="x", dataAbsentReason={"text": "y"}), "Observation"),
    "obs-7": (observation(code=CODE, valueString="x", component=[{"code": CODE, "valueString": "y"}]), "Observation"),
    "dom-3": (observation(contained=[patient("a")]), "Observation.contained[0]"),
    "txt-2": (patient(text={"status": "empty", "div": XHTML.format(" <p> </p> ")}), "Patient.text.div"),
    "que-2": (questionnaire(item("1", type="group", item=[item("1")])), "Questionnaire"),
    "que-1": (questionnaire(item(type="group")), "Questionnaire.item[0]"),
    "que-7": (
        questionnaire(item("1"), item("2", enableWhen=[{"question": "1", "operator": "exists", "answerString": "x"}])),
        "Questionnaire.item[1].enableWhen[0]",
    ),
    "que-12": (
        questionnaire(
            item("1"), item("2", enableWhen=[{"question": "1", "operator": "=", "answerString": "x"}] * 2)
        ),
        "Questionnaire.item[1]",
    ),
    "bdl-1": (bundle("collection", total=1), "Bundle"),
    "bdl-3": (bundle("transaction", {"resource": patient("a")}), "Bundle"),
    "bdl-4": (bundle("batch-response", {"resource": patient("a")}), "Bundle"),
    "bdl-5": (bundle("batch", {"fullUrl": "urn:uuid:9b7b2b3c-7c6d-4f6a-8a7e-1d2c3b4a5f60"}), "Bundle.entry[0]"),
    "bdl-7": (
        bundle("batch", *({"fullUrl": "http://x.org/Patient/1", "request": REQUEST} for _ in range(2))),
        "Bundle",
    ),
    "bdl-8": (
        bundle("collection", {"fullUrl": "http://x.org/Patient/a/_history/1", "resource": patient("a")}),
        "Bundle.entry[0]",
    ),
    "csd-1": (
        resource(
            "CodeSystem", None, status="draft", content="complete",
            concept=[{"code": "a", "concept": [{"code": "b"}]}, {"code": "b"}],
        ),
        "CodeSystem",
    ),
    "sdf-8": (profile("resource", "Patient", "Person.name"), "StructureDefinition.snapshot"),
    "org-1": (resource("Organization", None, active=True), "Organization"),
    "lnk-1": (resource("Linkage", None, item=[{"type": "source", "resource": {"display": "x"}}]), "Linkage"),
    "exp-1": (
        resource("Library", None, status="draft", type={"text": "x"}, extension=[
            {"url": "u:x", "valueExpression": {"language": "text/cql", "description": "x"}}
        ]),
        "Library.extension[0].value.ofType(Expression)",
    ),
    "md-1": (
        resource("MessageDefinition", None, status="draft", date="2020", eventUri="u:x",
                 focus=[{"code": "Patient", "min": 0, "max": "0"}]),
        "MessageDefinition.focus[0]",
    ),
    "ras-2": (
        resource("RiskAssessment", None, status="final", subject={"display": "x"},
                 prediction=[{"probabilityDecimal": 101}]),
        "RiskAssessment.prediction[0]",
    ),
    "inv-1": (
        resource("Task", None, status="draft", intent="order", lastModified="2020-01-02", authoredOn="2020-01-03"),
        "Task",
    ),
}  # fmt: skip


@pytest.mark.parametrize("key", BAD)
def test_a_broken_invariant_is_told_at_its_element(key: str) -> None:
    body, place = BAD[key]
    assert (place, key) in errors(body) or _in_structure(body, place, key)


def _in_structure(body: dict[str, Any], place: str, key: str) -> bool:
    """Structure has some of them, and names them in its text."""
    return any(issue.expression[0] == place and f"({key})" in issue.diagnostics for issue in issues(body))


GOOD = {
    "a period of one day": patient(name=[{"family": "A", "period": {"start": "2020-02-01", "end": "2020-02-01"}}]),
    "a period within a zone": observation(
        effectivePeriod={"start": "2020-02-01T10:00:00+01:00", "end": "2020-02-01T11:00:00+01:00"}
    ),
    "a period over zones": observation(
        effectivePeriod={"start": "2020-02-01T10:00:00+01:00", "end": "2020-02-01T09:30:00Z"}
    ),
    "a period without an end": patient(name=[{"family": "A", "period": {"start": "2020"}}]),
    "a picture alone": observation(
        contained=[resource("Binary", "pic", contentType="image/png", data="AAAA")],
        text={"status": "generated", "div": XHTML.format('<img src="#pic"/>')},
    ),
    "an entry without a full URL": bundle("batch", {"request": REQUEST}),
    "a component of another code": observation(
        code=CODE, valueString="x", component=[{"code": {"text": "y"}, "valueString": "y"}]
    ),
    "a question about existence": questionnaire(
        item("1"), item("2", enableWhen=[{"question": "1", "operator": "exists", "answerBoolean": True}])
    ),
    "a definition of charges": resource("ChargeItemDefinition", None, url="http://x.org/c", status="draft"),
    "a prediction without a probability": resource(
        "RiskAssessment", None, status="final", subject={"display": "x"}, prediction=[{"outcome": {"text": "x"}}]
    ),
    "a focus without a maximum": resource(
        "MessageDefinition", None, status="draft", date="2020", eventUri="u:x", focus=[{"code": "Patient", "min": 0}]
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_r4_means_to_allow_is_allowed(name: str) -> None:
    assert errors(GOOD[name]) == []


def test_a_period_that_cannot_be_ordered_is_an_error() -> None:
    body = observation(effectivePeriod={"start": "2023-06-21", "end": "2023-06-21T06:20:00Z"})
    assert errors(body) == [("Observation.effective.ofType(Period)", "per-1")]


def test_a_missing_narrative_is_a_warning_and_none_of_contained_resources() -> None:
    body = observation(contained=[patient("a")], subject="#a")
    assert [i.expression[0] for i in issues(body) if key_of(i) == "dom-6"] == ["Observation"]
    assert not [i for i in issues(body | {"text": TOLD}) if key_of(i) == "dom-6"]


def test_a_problem_of_the_list_should_have_a_clinical_status() -> None:
    category = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-category"}]}
    body = resource("Condition", None, subject={"display": "x"}, category=[category])
    assert ("Condition", "invariant") not in told(body, "warning")
    category["coding"][0]["code"] = "problem-list-item"
    assert ("Condition", "invariant") in told(body, "warning")


def test_names_should_be_identifiers_where_there_are_any() -> None:
    body = resource("ValueSet", None, status="draft")
    assert ("ValueSet", "invariant") not in told(body, "warning")
    assert ("ValueSet", "invariant") in told(body | {"name": "not one"}, "warning")


def test_invariants_are_looked_at_in_all_resources_within() -> None:
    bad = patient("a", telecom=[{"value": "1"}])
    contained = observation("o", contained=[bad], subject="#a")
    assert errors(contained) == [("Observation.contained[0].telecom[0]", "cpt-2")]
    body = bundle("collection", {"fullUrl": "http://x.org/Observation/o", "resource": contained})
    assert errors(body) == [("Bundle.entry[0].resource.contained[0].telecom[0]", "cpt-2")]
    parameters = resource("Parameters", None, parameter=[{"name": "a", "resource": bad}])
    assert errors(parameters) == [("Parameters.parameter[0].resource.telecom[0]", "cpt-2")]


def test_invariants_hold_within_extensions_of_primitives() -> None:
    extension = {"url": "u:x", "valueContactPoint": {"value": "1"}}
    body = patient(birthDate="2000", _birthDate={"extension": [extension]})
    assert errors(body) == [("Patient.birthDate.extension[0].value.ofType(ContactPoint)", "cpt-2")]
    body = patient(name=[{"given": ["A", None], "_given": [None, {"extension": [extension]}]}])
    assert errors(body) == [("Patient.name[0].given[1].extension[0].value.ofType(ContactPoint)", "cpt-2")]
