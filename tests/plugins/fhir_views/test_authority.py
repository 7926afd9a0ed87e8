"""Views show what their caller may see, and files of exports go to whoever asked for them."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.auth.mask_administration import set_rules
from tests.conformance.smart.conftest import BASE, SERVICE, Ehr, observation, record, started
from tests.plugins.fhir_views.conftest import PATIENTS, VALUES

WHOLE = replace(SERVICE, scopes="system/*.cruds")


@pytest.fixture
async def ehr(tmp_path: Path) -> AsyncIterator[Ehr]:
    """Two patients, an observation of each, and two views."""
    async with started(tmp_path) as ehr:
        token = await ehr.bearer("system/*.cruds", client=WHOLE)
        for resource in (
            record("Practitioner", "doc", name=[{"family": "Grey"}]), record("Patient", "one"),
            record("Patient", "two"), observation("of-one", "one"), observation("of-two", "two"), PATIENTS, VALUES,
        ):  # fmt: skip
            answer = await ehr.fhir(f"{resource['resourceType']}/{resource['id']}", token, "PUT", resource)
            assert answer.is_success, answer.text
        yield ehr


async def run(ehr: Ehr, token: str, view: dict[str, Any], *more: dict[str, Any]) -> httpx.Response:
    """Run a view that comes with the call: apps for one patient see no definitions of the server."""
    parts = [{"name": "viewResource", "resource": view}, *more]
    body = {"resourceType": "Parameters", "parameter": parts}
    return await ehr.fhir("ViewDefinition/$viewdefinition-run", token, "POST", body)


async def ids(ehr: Ehr, token: str, view: dict[str, Any]) -> Any:
    answer = await run(ehr, token, view)
    assert answer.status_code == 200, answer.text
    return sorted(row["id"] for row in answer.json())


async def test_service_sees_all_and_an_app_for_one_patient_its_own(ehr: Ehr) -> None:
    whole = await ehr.bearer("system/*.cruds", client=WHOLE)
    assert await ids(ehr, whole, VALUES) == ["of-one", "of-two"]
    assert len((await ehr.fhir("ViewDefinition/values/$run", whole)).json()) == 2
    own = await ehr.bearer("patient/*.rs", user=ehr.doctor, patient="two")
    assert await ids(ehr, own, VALUES) == ["of-two"]
    assert (await ehr.fhir("ViewDefinition/values/$run", own)).status_code == 404
    assert await ids(ehr, own, PATIENTS) == ["two"]


async def test_filter_reaches_no_further_than_the_caller(ehr: Ehr) -> None:
    own = await ehr.bearer("patient/*.rs", user=ehr.doctor, patient="two")
    one = {"name": "patient", "valueReference": {"reference": "Patient/one"}}
    assert (await run(ehr, own, VALUES, one)).status_code == 404


async def test_type_outside_the_scopes_is_refused(ehr: Ehr) -> None:
    token = await ehr.bearer("patient/Patient.rs patient/ViewDefinition.rs", user=ehr.doctor, patient="two")
    assert (await run(ehr, token, VALUES)).status_code == 403
    assert await ids(ehr, token, PATIENTS) == ["two"]
    assert (await ehr.fhir("ViewDefinition/patients/$run", "")).status_code == 401


async def test_table_is_for_those_who_may_see_all_of_it(ehr: Ehr) -> None:
    whole = await ehr.bearer("system/*.cruds", client=WHOLE)
    made = await ehr.fhir("ViewDefinition/values/$materialize", whole, "POST", {"resourceType": "Parameters"})
    assert made.status_code == 200, made.text
    query = "$view-query?query=select+count(*)+n+from+vals"
    assert (await ehr.fhir(query, whole)).json() == [{"n": 2}]
    own = await ehr.bearer("patient/*.rs", user=ehr.doctor, patient="two")
    assert (await ehr.fhir(query, own)).status_code == 403
    doctor = await ehr.bearer("user/Patient.rs", user=ehr.doctor)
    assert (await ehr.fhir(query, doctor)).status_code == 403
    assert (await ehr.fhir("ViewDefinition/values/$dematerialize", own, "POST")).status_code in (403, 404)
    assert (await ehr.fhir(query, "")).status_code == 401
    await set_rules(ehr.desk, "*", [{"path": "Observation.value"}])
    async with asyncio.timeout(20):  # the table holds what is masked
        while (await ehr.fhir(query, whole)).status_code != 403:
            await asyncio.sleep(0.05)


async def test_query_sees_what_its_caller_sees(ehr: Ehr) -> None:
    pytest.importorskip("duckdb")
    library = {
        "resourceType": "Library", "status": "active", "type": {"text": "query"},
        "relatedArtifact": [{"type": "depends-on", "resource": "http://inline", "label": "o"}],
        "content": [{"contentType": "application/sql", "data": b64encode(b"select id from o order by id").decode()}],
    }  # fmt: skip
    view = {"name": "viewResource", "resource": {**VALUES, "url": "http://inline"}}
    body = {"resourceType": "Parameters", "parameter": [{"name": "queryResource", "resource": library}, view]}
    tokens = {
        "whole": await ehr.bearer("system/*.cruds", client=WHOLE),
        "own": await ehr.bearer("patient/*.rs", user=ehr.doctor, patient="two"),
        "other type": await ehr.bearer("patient/Patient.rs patient/Library.rs", user=ehr.doctor, patient="two"),
        "nobody": "",
    }
    found = {name: await ehr.fhir("$sqlquery-run", token, "POST", body) for name, token in tokens.items()}
    assert {name: answer.status_code for name, answer in found.items()} == {
        "whole": 200, "own": 200, "other type": 403, "nobody": 401,
    }  # fmt: skip
    assert found["whole"].json() == [{"id": "of-one"}, {"id": "of-two"}]
    assert found["own"].json() == [{"id": "of-two"}]


async def test_files_go_to_tokens_that_allow_as_much_as_the_one_that_asked(ehr: Ehr) -> None:
    token = await ehr.bearer("patient/*.rs", user=ehr.doctor, patient="two")
    body = {"resourceType": "Parameters", "parameter": [
        {"name": "view", "part": [{"name": "viewResource", "resource": VALUES}]},
    ]}  # fmt: skip
    url = "ViewDefinition/$viewdefinition-export"
    headers = {"authorization": f"Bearer {token}", "prefer": "respond-async"}
    accepted = await ehr.http.post(f"{BASE}/{url}", json=body, headers=headers)
    status = accepted.headers["content-location"]
    async with asyncio.timeout(20):
        while (answer := await ehr.http.get(status, headers=headers)).status_code == 202:
            await asyncio.sleep(0.05)
    output = next(each["part"] for each in answer.json()["parameter"] if each["name"] == "output")
    location = output[1]["valueUri"]
    tokens = {
        "again": await ehr.bearer("patient/*.rs", user=ehr.doctor, patient="two"),
        "wider": await ehr.bearer("patient/*.cruds openid", user=ehr.doctor, patient="two"),
        "narrower": await ehr.bearer("patient/Patient.rs", user=ehr.doctor, patient="two"),
        "other patient": await ehr.bearer("patient/*.rs", user=ehr.doctor, patient="one"),
        "other user": await ehr.bearer("patient/*.rs", user=ehr.ann, patient="two"),
        "nobody": "",
    }
    found = {}
    for name, each in tokens.items():
        answer = await ehr.http.get(location, headers={"authorization": f"Bearer {each}"} if each else {})
        found[name] = answer.status_code
    assert found == {
        "again": 200, "wider": 200, "narrower": 404, "other patient": 404, "other user": 404, "nobody": 401,
    }  # fmt: skip
