"""Invariants that profiles add."""

from typing import Any

from tests.unit.validation.profiles.builders import CORE, errors, findings, observation, patient, profile

Json = dict[str, Any]


def rule(path: str, expression: str, type_: str = "Patient", severity: str = "error", **more: Any) -> Json:
    """A profile with one invariant."""
    constraint = {"key": "t-1", "severity": severity, "human": "It must hold", "expression": expression, **more}
    return profile(type_, {"path": path, "constraint": [constraint]})


def test_an_invariant_is_told_where_it_stands_with_its_key() -> None:
    (found,) = findings(patient(name=[{"text": "A"}]), rule("name", "family.exists()"))
    assert (found.code, found.severity, found.expression) == ("invariant", "error", ("Patient.name[0]",))
    assert found.details == {"coding": [{"code": "t-1"}]}
    assert found.diagnostics == "Constraint failed: t-1: 'It must hold' (defined in http://example.net/profile)"


def test_a_warning_is_one() -> None:
    (found,) = findings(patient(name=[{"text": "A"}]), rule("name", "family.exists()", severity="warning"))
    assert found.severity == "warning"


def test_a_best_practice_is_a_warning_whatever_it_says() -> None:
    best: Json = {"extension": [{"url": CORE + "elementdefinition-bestpractice", "valueBoolean": True}]}
    (found,) = findings(patient(), rule("", "active.exists()", **best))
    assert found.severity == "warning"


def test_nothing_at_all_is_not_true() -> None:
    assert errors(patient(), rule("", "active")) == ["invariant Patient"]
    assert errors(patient(active=True), rule("", "active")) == []


def test_invariants_on_primitives() -> None:
    assert errors(patient(name=[{"family": "x"}]), rule("name.family", "matches('^[A-Z]')")) == [
        "invariant Patient.name[0].family"
    ]
    assert errors(patient(name=[{"family": "X"}]), rule("name.family", "$this.length() > 0")) == []


def test_variables_stand_for_what_is_around() -> None:
    expression = "%context.type().name = 'HumanName' and %resource.type().name = 'Patient'"
    assert errors(patient(name=[{"text": "A"}]), rule("name", expression)) == []


def test_on_a_resource_in_a_resource_the_outer_one_is_the_resource() -> None:
    expression = "%context.type().name = 'Patient' and %resource.type().name = 'Bundle'"
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": patient()}]}
    assert errors(bundle, rule("entry.resource", expression, "Bundle")) == []


def test_references_are_resolved() -> None:
    expression = "subject.resolve().active = true"
    given = observation(contained=[patient(id="p", active=True)], subject={"reference": "#p"})
    assert errors(given, rule("", expression, "Observation")) == []
    given["contained"][0]["active"] = False
    assert errors(given, rule("", expression, "Observation")) == ["invariant Observation"]


def test_profiles_can_be_asked_for() -> None:
    named = profile("Patient", {"path": "name", "min": 1}, url="http://example.net/named")
    asks = rule("", "conformsTo('http://example.net/named')")
    assert errors(patient(), asks, named) == ["invariant Patient"]
    assert errors(patient(name=[{"text": "A"}]), asks, named) == []


def test_value_sets_can_be_asked_for() -> None:
    asks = rule("gender", "memberOf('http://hl7.org/fhir/ValueSet/administrative-gender')")
    assert errors(patient(gender="male"), asks) == []
    assert errors(patient(gender="it"), asks) == ["invariant Patient.gender"]


def test_an_expression_that_cannot_be_read_is_one_warning() -> None:
    found = findings(patient(name=[{"text": "A"}, {"text": "B"}]), rule("name", "family.exists("))
    assert [(issue.severity, issue.code) for issue in found] == [("warning", "processing")]
    assert "t-1" in found[0].diagnostics


def test_an_expression_that_fails_is_a_warning() -> None:
    (found,) = findings(patient(name=[{"given": ["a", "b"]}]), rule("name", "given.single() = 'a'"))
    assert (found.severity, found.code) == ("warning", "processing")


def test_the_rules_of_r4_are_not_told_again() -> None:
    assert findings(patient(contact=[{"gender": "male"}]), profile("Patient", {"path": "contact", "min": 1})) == []


def test_a_choice_may_go_by_its_json_name() -> None:
    either = rule("", "(component.exists() and valueString.empty()) or valueString.exists()", "Observation")
    assert errors(observation(valueString="x"), either) == []
    assert errors(observation(valueInteger=1), either) == ["invariant Observation"]


def test_names_in_texts_stay_as_they_are() -> None:
    assert errors(patient(language="valueString"), rule("", "language = 'valueString'")) == []


def vital(**elements: Any) -> Json:
    """A vital sign with all that R4 wants of one."""
    category = {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]
    }
    return observation(category=[category], subject={"reference": "Patient/1"}, valueString="x", **elements)


def test_the_time_of_vital_signs_is_precise_to_the_day_where_it_is_a_point() -> None:
    signs = {"url": CORE + "vitalsigns"}
    assert errors(vital(effectiveDateTime="2020-01-02"), signs) == []
    assert errors(vital(effectivePeriod={"start": "2020"}), signs) == []
    assert errors(vital(effectiveDateTime="2020"), signs) == ["invariant Observation.effective.ofType(dateTime)"]
