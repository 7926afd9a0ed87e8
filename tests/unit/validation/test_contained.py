"""Contained resources: ids, references to and from them, and what they may not have."""

from typing import Any

from tests.unit.validation.builders import Json, check, observation, only_issue, places


def with_contained(*contained: Any, **changes: Any) -> Json:
    return observation(contained=list(contained), **{"subject": {"reference": "#a"}, **changes})


def contained_patient(**changes: Any) -> Json:
    return {"resourceType": "Patient", "id": "a", **changes}


def test_local_reference_resolves_to_a_contained_resource() -> None:
    assert check(with_contained(contained_patient())) == []


def test_local_reference_to_nothing_is_refused() -> None:
    issue = only_issue(observation(subject={"reference": "#a"}))
    assert issue.diagnostics == "no contained resource has the id 'a'"
    assert issue.expression == ("Observation.subject.reference",)


def test_local_reference_must_be_to_a_type_that_may_stand_there() -> None:
    issue = only_issue(with_contained({"resourceType": "Practitioner", "id": "a"}))
    assert "the reference is to Practitioner" in issue.diagnostics


def test_contained_resources_may_refer_to_each_other_and_to_the_container() -> None:
    specimen = {"resourceType": "Specimen", "id": "s", "subject": {"reference": "#a"}}
    assert check(observation(contained=[specimen, contained_patient()], specimen={"reference": "#s"})) == []
    provenance = {
        "resourceType": "Provenance",
        "id": "p",
        "target": [{"reference": "#"}],
        "recorded": "2020-01-01T00:00:00Z",
        "agent": [{"who": {"display": "x"}}],
    }
    assert check(observation(contained=[provenance])) == []


def test_container_cannot_be_named_where_nothing_is_contained() -> None:
    assert places(observation(subject={"reference": "#"})) == ["Observation.subject.reference"]


def test_canonical_and_uri_count_as_references_to_a_contained_resource() -> None:
    questionnaire = {"resourceType": "Questionnaire", "id": "q", "status": "draft"}
    response = {"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": "#q"}
    assert check({**response, "contained": [questionnaire]}) == []


def test_contained_resource_must_have_an_id() -> None:
    bad = {"resourceType": "Patient", "active": True}
    assert places(observation(contained=[bad])) == ["Observation.contained[0].id"]


def test_ids_of_contained_resources_differ() -> None:
    assert places(with_contained(contained_patient(), contained_patient())) == ["Observation.contained[1]"]


def test_contained_resource_cannot_contain() -> None:
    nested = contained_patient(contained=[{"resourceType": "Basic", "id": "b", "code": {"text": "x"}}])
    assert places(with_contained(nested)) == ["Observation.contained[0].contained"]


def test_contained_resource_has_no_version_time_or_label() -> None:
    meta = {"versionId": "1", "lastUpdated": "2020-01-01T00:00:00Z", "security": [{"code": "R"}]}
    assert places(with_contained(contained_patient(meta=meta))) == [
        "Observation.contained[0].meta.versionId",
        "Observation.contained[0].meta.lastUpdated",
        "Observation.contained[0].meta.security",
    ]
    assert check(with_contained(contained_patient(meta={"profile": ["http://x.org/p"]}))) == []


def test_contained_must_be_a_list_of_known_resources() -> None:
    assert places(observation(contained={})) == ["Observation.contained"]
    assert places(observation(contained=[])) == ["Observation.contained"]
    assert places(observation(contained=["x", None, {"id": "a"}, {"resourceType": "Foo", "id": "b"}])) == [
        f"Observation.contained[{index}]" for index in range(4)
    ]


def test_scope_of_local_references_is_each_entry_of_a_bundle() -> None:
    entry = {"resource": observation(subject={"reference": "#a"})}
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": with_contained(contained_patient())}],
    }
    assert check(bundle) == []
    bundle["entry"].append(entry)  # type: ignore[attr-defined]
    assert places(bundle) == ["Bundle.entry[1].resource.subject.reference"]


def test_resources_in_parameters_are_checked_with_their_own_contained() -> None:
    parameters = {
        "resourceType": "Parameters",
        "parameter": [{"name": "a", "resource": with_contained(contained_patient())}],
    }
    assert check(parameters) == []
    bad = {"name": "b", "part": [{"name": "c", "resource": {"resourceType": "Patient", "gender": "x"}}]}
    assert places({"resourceType": "Parameters", "parameter": [bad]}) == [
        "Parameters.parameter[0].part[0].resource.gender"
    ]
