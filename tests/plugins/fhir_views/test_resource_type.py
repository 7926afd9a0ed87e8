"""ViewDefinition is a resource type like any of R4's, for as long as the plugin is there."""

from typing import Any

import pytest
from fhir_views.definitions import structure

from fhir_server.definitions import WrongStructure, load, read_structure
from tests.plugins.fhir_views.conftest import PATIENTS, Views


def test_it_is_created_read_changed_and_has_a_history(views: Views) -> None:
    made = views.http.post(f"{views.base}/ViewDefinition", json={**PATIENTS, "id": "any", "name": "made"})
    assert made.status_code == 201
    id_ = made.json()["id"]
    patch = [{"op": "replace", "path": "/status", "value": "retired"}]
    kind = {"content-type": "application/json-patch+json"}
    assert views.http.patch(f"{views.base}/ViewDefinition/{id_}", json=patch, headers=kind).status_code == 200
    assert views.get(f"ViewDefinition/{id_}/_history").json()["total"] == 2
    assert views.http.delete(f"{views.base}/ViewDefinition/{id_}").status_code in (200, 204)
    assert views.get(f"ViewDefinition/{id_}").status_code == 410


def test_it_is_found_by_its_search_parameters(views: Views) -> None:
    for criteria in (
        "_id=patients", "url=http://example.org/views/patients", "name=PATIENTS", "status=active&name=patients",
        "resource=Patient", "_lastUpdated=gt2020&version=1",
    ):  # fmt: skip
        found = views.get(f"ViewDefinition?{criteria}").json()
        assert [each["resource"]["id"] for each in found["entry"]] == ["patients"], criteria
    assert views.get("ViewDefinition?resource=Group").json()["total"] == 0
    assert views.get("ViewDefinition?nonsense=1").status_code == 400


def test_it_is_written_and_read_as_xml(views: Views) -> None:
    kind = {"accept": "application/fhir+xml", "content-type": "application/fhir+xml"}
    text = views.http.get(f"{views.base}/ViewDefinition/patients", headers=kind).text
    assert "<ViewDefinition" in text
    again = views.http.put(f"{views.base}/ViewDefinition/patients", content=text.encode(), headers=kind)
    assert again.is_success, again.text
    assert len(views.rows("ViewDefinition/patients/$run")) == 2


def wrong(**members: Any) -> dict[str, Any]:
    return {**PATIENTS, "id": "wrong", **members}


@pytest.mark.parametrize(
    ("resource", "place"),
    [
        (wrong(resource=None), "ViewDefinition"),
        (wrong(status="never"), "ViewDefinition.status"),
        (wrong(selct=[]), "ViewDefinition"),
        (wrong(select=[{"column": [{"name": "1a", "path": "id"}]}]), "ViewDefinition.select[0].column[0].name"),
        (wrong(select=[{"column": [{"name": "a"}]}]), "ViewDefinition.select[0].column[0]"),
        (wrong(select=[{"column": [{"name": "a", "path": "(("}]}]), "ViewDefinition.select[0].column[0].path"),
        (wrong(where=[{"path": "%x"}]), "ViewDefinition.where[0].path"),
        (wrong(resource="Nonsense"), "ViewDefinition.resource"),
    ],
)
def test_one_that_is_wrong_is_not_stored_and_its_place_is_named(
    views: Views, resource: dict[str, Any], place: str
) -> None:
    answer = views.put({key: value for key, value in resource.items() if value is not None})
    assert answer.status_code in (400, 422), answer.text
    places = [at for issue in answer.json()["issue"] for at in issue.get("expression", ())]
    assert place in places
    assert views.get("ViewDefinition/wrong").status_code == 404


NAMED = ("searchParam", "operation")


def test_metadata_describes_it(views: Views) -> None:
    statement = views.get("metadata").json()
    rest = statement["rest"][0]
    said = [each["extension"] for each in rest["extension"] if each["url"].endswith("/additional-type")]
    found = next(each for each in said if {"url": "type", "valueCode": "ViewDefinition"} in each)
    profile = "https://sql-on-fhir.org/ig/StructureDefinition/ViewDefinition"
    assert {"url": "profile", "valueCanonical": profile} in found
    names = {name: {e["extension"][0]["valueString"] for e in found if e["url"] == name} for name in NAMED}
    assert {"url", "name", "status", "resource", "_lastUpdated"} <= names["searchParam"]
    assert {"run", "viewdefinition-run", "viewdefinition-export"} <= names["operation"]
    # The binding of rest.resource.type is a required one: types that R4 has not make the statement invalid there.
    assert "ViewDefinition" not in {each["type"] for each in rest["resource"]}
    outcome = views.http.post(f"{views.base}/CapabilityStatement/$validate", json=statement).json()
    assert [each for each in outcome["issue"] if each["severity"] in ("error", "fatal")] == []


def test_it_is_validated_on_request(views: Views) -> None:
    body = {"resourceType": "ViewDefinition", "status": "active", "resource": "Patient"}
    answer = views.http.post(f"{views.base}/ViewDefinition/$validate", json=body)
    assert any(issue["severity"] == "error" for issue in answer.json()["issue"])


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "complex-type"}, {"type": ""}, {"baseDefinition": "http://x.org/Nothing"}, {"snapshot": None},
        {"snapshot": {"element": []}}, {"snapshot": {"element": [{"path": "Other"}]}},
    ],
)  # fmt: skip
def test_structure_that_defines_no_resource_type_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(WrongStructure):
        read_structure({**structure(), **change}, load())
