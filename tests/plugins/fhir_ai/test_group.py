"""`Group/$risk-assess`: the members of a group, a line for each; large groups are jobs that survive their process."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fhir_ai.operations import group

from fhir_server.testing.server import serving
from tests.plugins.fhir_ai.patients import condition, person, store, store_all, vitals
from tests.plugins.only import but

ALONE = but("fhir_ai")

ICD10 = "http://hl7.org/fhir/sid/icd-10"


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with serving(plugins_disabled=ALONE, plugins={"fhir_ai": {"group_at_once": 3}}) as found:
        yield found


def _group(client: Any, *members: str, **more: Any) -> str:
    listed = [{"entity": {"reference": each}} for each in members]
    return store(client, {"resourceType": "Group", "type": "person", "actual": True, "member": listed, **more})


def _lines(answer: Any) -> dict[str, list[dict[str, Any]]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/fhir+ndjson")
    found = [json.loads(line)["parameter"] for line in answer.text.splitlines()]
    return {each[0]["valueReference"]["reference"]: each[1:] for each in found}


def _patient(client: Any, *codes: str, **signs: Any) -> str:
    patient = store(client, person(70))
    store_all(client, [*vitals(patient, **signs), *(condition(patient, ICD10, code) for code in codes)])
    return patient


def _points(parts: list[dict[str, Any]]) -> dict[str, str]:
    risks = [each["resource"] for each in parts if each["name"] == "risk"]
    return {each["method"]["coding"][0]["code"]: each["prediction"][0]["rationale"] for each in risks}


def test_a_small_group_is_answered_at_once_and_each_member_as_alone(server: Any) -> None:
    client = server.client
    ill, well = _patient(client, "I48.0", "I10", _8480_6=(88, "mm[Hg]")), _patient(client)
    lines = _lines(client.get(f"/fhir/{_group(client, ill, well)}/$risk-assess"))
    assert list(lines) == sorted((ill, well))
    for patient in (ill, well):
        alone = client.get(f"/fhir/{patient}/$risk-assess").json()["parameter"]
        assert _points(lines[patient]) == _points(alone)
    assert "cha2ds2_vasc" in _points(lines[ill])


def test_models_that_are_named_say_why_they_were_not_computed(server: Any) -> None:
    client = server.client
    patient = _patient(client)
    (parts,) = _lines(
        client.get(f"/fhir/{_group(client, patient)}/$risk-assess?model=support2-30d&model=news2")
    ).values()
    assert [each["part"][0]["valueCode"] for each in parts if each["name"] == "not-computed"] == ["support2-30d"]
    assert set(_points(parts)) == {"news2"}


def test_members_of_groups_within_count_once_and_those_who_left_do_not(server: Any) -> None:
    client = server.client
    one, two, gone = _patient(client), _patient(client), _patient(client)
    inner = _group(client, one, two)
    listed = [{"entity": {"reference": each}} for each in (inner, one)]
    left = {"entity": {"reference": gone}, "inactive": True}
    outer = store(client, {"resourceType": "Group", "type": "person", "actual": True, "member": [*listed, left]})
    assert set(_lines(client.get(f"/fhir/{outer}/$risk-assess?model=news2"))) == {one, two}


def test_a_large_group_has_to_be_a_job(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "_FILE", 2)
    client = server.client
    members = [store(client, person()) for _ in range(5)]
    path = f"/fhir/{_group(client, *members)}/$risk-assess?model=news2"
    refused = client.get(path)
    assert refused.status_code == 403 or refused.status_code == 400, refused.text
    assert "respond-async" in refused.json()["issue"][0]["diagnostics"]
    accepted = client.get(path, headers={"prefer": "respond-async"})
    assert accepted.status_code == 202
    for _ in range(200):
        answer = client.get(accepted.headers["content-location"])
        if answer.status_code != 202:
            break
        server.settle()
    assert set(_lines(answer)) == set(members)


def test_an_empty_group_and_one_that_is_not_there(server: Any) -> None:
    client = server.client
    empty = store(client, {"resourceType": "Group", "type": "person", "actual": True})
    assert _lines(client.get(f"/fhir/{empty}/$risk-assess")) == {}
    assert client.get("/fhir/Group/nobody/$risk-assess").status_code == 404
    assert client.get(f"/fhir/{empty}/$risk-assess?model=nonsense").status_code == 400
