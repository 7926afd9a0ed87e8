"""The feed stores what stands out of new results, once for each version, whatever is delivered how often."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from fhir_ai.findings.lab.feed import consumers, watch
from fhir_ai.findings.lab.issue import keep
from fhir_ai.findings.lab.laboratory import report_of
from fhir_ai.findings.lab.reading import Finding
from fhir_ai.settings import AiSettings

from fhir_server.plugin_api import FeedChange, Host
from fhir_server.testing.server import TestServer, serving
from tests.plugins.fhir_ai.patients import measured, person, store, store_all
from tests.plugins.only import but


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    with serving(plugins_disabled=but("fhir_ai", "fhir_cds_hooks")) as found:
        yield found


@pytest.fixture
def patient(server: TestServer) -> str:
    return store(server.client, person(60, "male"))


def issues(server: TestServer, patient: str) -> list[dict[str, Any]]:
    server.settle()
    found = server.client.get(f"/fhir/DetectedIssue?patient={patient}").json()
    return [each["resource"] for each in found.get("entry", [])]


def host_of(server: TestServer) -> Host:
    assert server.app.assembly is not None
    return server.app.assembly.hosts["fhir_ai"]


def deliver_again(server: TestServer, times: int) -> None:
    """Give all changes to the consumer once more, as after a crash."""

    async def again() -> None:
        ctx = await host_of(server).context()
        versions = [each for each in await ctx.core.store.changes(0, 1000) if each.key.type == "Observation"]
        for _ in range(times):
            await watch(ctx, [FeedChange(each, "created") for each in versions])

    server._portal.call(again)


def test_a_critical_result_becomes_one_issue_however_often_it_is_delivered(server: TestServer, patient: str) -> None:
    result = store(server.client, measured(patient, "2823-3", 6.9, "mmol/L"))
    (issue,) = issues(server, patient)
    assert (issue["severity"], issue["implicated"]) == ("high", [{"reference": result}])
    assert issue["identifier"][0]["value"] == f"{result}/_history/1"
    deliver_again(server, 3)
    assert [each["id"] for each in issues(server, patient)] == [issue["id"]]
    assert server.client.get(f"/fhir/Provenance?target=DetectedIssue/{issue['id']}").json()["total"] == 1


def test_two_who_look_at_one_result_at_once_store_one_issue(server: TestServer, patient: str) -> None:
    result = store(server.client, measured(patient, "2951-2", 141, "mmol/L"))

    async def both() -> list[Any]:
        ctx = await host_of(server).context()
        observation = await ctx.client.read("Observation", result.split("/")[1])
        found = report_of(None, [Finding("critical", "high", "it is too much")])
        return await asyncio.gather(*(keep(ctx, observation, 1, found) for _ in range(5)))

    kept = server._portal.call(both)
    assert len({each["id"] for each in kept}) == 1
    assert len(issues(server, patient)) == 1


def test_what_is_less_severe_than_the_setting_or_old_is_passed_over(server: TestServer, patient: str) -> None:
    store_all(
        server.client,
        [
            measured(patient, "2823-3", 4.9, "mmol/L"),
            measured(patient, "2823-3", 6.9, "mmol/L", 24 * 30),
            {**measured(patient, "2823-3", 6.9, "mmol/L"), "status": "entered-in-error"},
            measured(patient, "8867-4", 190, "/min"),
        ],
    )
    assert issues(server, patient) == []


def test_a_corrected_result_cancels_its_issue_unless_somebody_took_it_on(server: TestServer, patient: str) -> None:
    made = [store(server.client, measured(patient, "2951-2", 110, "mmol/L", hours)) for hours in (1, 2)]
    first, second = sorted(issues(server, patient), key=lambda each: each["implicated"][0]["reference"] != made[0])
    assert server.client.put(f"/fhir/DetectedIssue/{second['id']}", json={**second, "status": "final"}).is_success
    for result in made:
        resource = server.client.get(f"/fhir/{result}").json()
        resource["valueQuantity"]["value"] = 140
        assert server.client.put(f"/fhir/{result}", json={**resource, "status": "corrected"}).is_success
    states = {each["id"]: each["status"] for each in issues(server, patient)}
    assert states == {first["id"]: "cancelled", second["id"]: "final"}
    deliver_again(server, 2)
    assert {each["id"]: each["status"] for each in issues(server, patient)} == states


def test_a_result_entered_in_error_cancels_its_issue(server: TestServer, patient: str) -> None:
    result = store(server.client, measured(patient, "2951-2", 110, "mmol/L"))
    (issue,) = issues(server, patient)
    resource = server.client.get(f"/fhir/{result}").json()
    assert server.client.put(f"/fhir/{result}", json={**resource, "status": "entered-in-error"}).is_success
    assert [(each["id"], each["status"]) for each in issues(server, patient)] == [(issue["id"], "cancelled")]


def test_findings_of_the_forest_have_a_device_that_says_so(server: TestServer, patient: str) -> None:
    for code, value, unit in (("14930-2", 0.5, "nmol/L"), ("14921-1", 12, "nmol/L")):
        store(server.client, measured(patient, code, value, unit, 2))
    result = store(server.client, measured(patient, "3016-3", 90, "m[IU]/L", 1))
    body = {"resourceType": "Parameters", "parameter": [{"name": "persist", "valueBoolean": True}]}
    answer = server.client.post(f"/fhir/{result}/$lab-anomaly", json=body).json()
    (issue,) = [each["resource"] for each in answer["parameter"] if each["name"] == "issue"]
    assert "isolation forest thyroid-forest" in issue["detail"]
    assert "thyroid-panel" in issue["detail"]  # the supervised model of the registry says so too
    device = server.client.get(f"/fhir/{issue['author']['reference']}").json()
    assert "learned model" in device["type"]["text"]


def test_one_switch_turns_it_off() -> None:
    assert consumers(AiSettings(lab_feed="off")) == []
    with serving(plugins={"fhir_ai": {"lab_feed": "off"}}, plugins_disabled=but("fhir_ai")) as server:
        patient = store(server.client, person(60, "male"))
        store(server.client, measured(patient, "2823-3", 6.9, "mmol/L"))
        assert issues(server, patient) == []
