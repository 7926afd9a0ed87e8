"""What plugins answer, they answer as a server would that never had what the caller may not see.

Two whole servers with tokens: one has the world, the other what the naive model says is visible. Exports, GraphQL,
views, matching: all that reads many resources at once, and what runs on after its request.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from fhir_server.auth.users import new_user, save_user
from tests.conformance.smart.conftest import Ehr, started
from tests.property.restricted_consents import Consents, consent
from tests.property.restricted_world import PATIENTS, Model, World, make_world

LAB = "category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
CALLERS = (
    Model("patient/*.rs", "ann"),
    Model("user/*.rs", "", ("ann",)),
    Model(f"patient/Observation.rs?{LAB} patient/Patient.rs patient/Encounter.rs", "bob"),
    Model("user/*.rs", said=Consents((consent("bob", "OPTOUT"),))),
    Model(f"user/Patient.rs user/Observation.rs?{LAB}"),
)
GRAPHQL = (
    "{PatientList{id name{family} ObservationList(_reference:subject){id code{coding{code}}}}}",
    "{ObservationList(_count:50){id subject{resource{... on Patient{id name{family}}}}}}",
    '{ObservationList(code:"1-8"){id performer{resource{resourceType}}}}',
    "{TaskList{id focus{reference resource{... on Observation{id}}}}}",
    "{ProvenanceList{id target{resource{resourceType}}}}",
    "{EncounterConnection(_count:2){count edges{resource{id}}}}",
    '{Observation(id:"o0"){id status} other:Observation(id:"o7"){id}}',
)
_ID = {"column": [{"name": "id", "path": "getResourceKey()"}]}
VIEWS = (
    ("Observation", [_ID, {"column": [{"name": "who", "path": "subject.reference"}]}]),
    ("Patient", [_ID, {"forEach": "name", "column": [{"name": "family", "path": "family"}]}]),
)


@dataclass
class Caller:
    """One server and the token of the caller."""

    ehr: Ehr
    token: str

    async def ask(self, method: str, url: str, body: Any = None, **headers: str) -> httpx.Response:
        sent = {"authorization": f"Bearer {self.token}"} | {n.replace("_", "-"): v for n, v in headers.items()}
        return await self.ehr.http.request(method, url, json=body, headers=sent)

    async def exported(self, url: str, body: Any = None) -> Any:
        """Return what an export came to: the resources of each file; or the refusal."""
        answer = await self.ask("POST" if body else "GET", f"/fhir/{url}", body, prefer="respond-async")
        if answer.status_code != 202:
            return answer.status_code, plain(answer.text)
        status = answer.headers["content-location"]
        for _ in range(600):
            answer = await self.ask("GET", status)
            if answer.status_code != 202:
                break
            await asyncio.sleep(0.05)
        assert answer.status_code == 200, answer.text
        found: dict[str, list[str]] = {}
        for kind in ("output", "error"):
            for file in answer.json().get(kind, []):
                text = (await self.ask("GET", file["url"])).text
                found.setdefault(f"{kind} {file['type']}", []).extend(map(plain, text.splitlines()))
        return {name: sorted(lines) for name, lines in found.items()}


def plain(text: str) -> str:
    """Return an answer without what depends on time and on how many versions there were."""
    text = re.sub(r'"(versionId|lastUpdated|timestamp|start|end)":"[^"]*",?', "", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{22}", "made", text)
    return re.sub(r"/_history/\d+", "", text)


async def _filled(ehr: Ehr, world: World, model: Model) -> Caller:
    root = replace(new_user("root", roles=("admin",)), password=ehr.doctor.password)
    await save_user(ehr.desk, root)
    writer = await ehr.bearer("user/*.cruds", user=root)
    for key, versions in world.versions.items():
        for version in versions:
            method = "DELETE" if version is None else "PUT"
            answer = await ehr.fhir(key, writer, method, version)
            assert answer.status_code in (200, 201, 204), answer.text
    for said in model.said.consents if model.said else ():
        if world.current(said["patient"]["reference"]):
            assert (await ehr.fhir(f"Consent/{said['id']}", writer, "PUT", said)).status_code == 201
    user = ehr.ann if model.represented else ehr.doctor
    return Caller(ehr, await ehr.bearer(model.scopes, user=user, patient=model.patient))


@pytest.fixture(params=range(len(CALLERS)))
async def callers(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Caller, Caller]]:
    model, world = CALLERS[request.param], make_world(Random(f"plugins {request.param}"))
    async with AsyncExitStack() as stack:
        made = []
        for name, held in (("whole", world), ("seen", model.visible(world))):
            ehr = await stack.enter_async_context(
                started(
                    tmp_path / name, validation="off", integrity_on_delete=False, label_roles={"BREACH": ("auditor",)}
                )
            )
            made.append(await _filled(ehr, held, model))
        await asyncio.sleep(0.6)  # a Consent takes effect
        yield made[0], made[1]


async def _exports_hold_what_is_seen(callers: tuple[Caller, Caller]) -> None:
    for url in (
        "$export", "Patient/$export", "$export?_type=Patient,Observation,Task,Binary", "Group/g0/$export",
        "$export?_typeFilter=Observation%3Fcode%3D1-8&_type=Observation", "$export?_since=2020-01-01T00:00:00Z",
        "Patient/$export?includeAssociatedData=LatestProvenanceResources",
    ):  # fmt: skip
        one, other = [await caller.exported(url) for caller in callers]
        assert one == other, url


async def _graphql_answers_what_is_seen(callers: tuple[Caller, Caller]) -> None:
    for query in GRAPHQL:
        one, other = [await caller.ask("POST", "/fhir/$graphql", {"query": query}) for caller in callers]
        assert (one.status_code, plain(one.text)) == (other.status_code, plain(other.text)), query
    for patient in (*PATIENTS, "never"):
        query = "{id name{family} EncounterList(_reference:subject){id}}"
        one, other = [
            await caller.ask("POST", f"/fhir/Patient/{patient}/$graphql", {"query": query}) for caller in callers
        ]
        assert (one.status_code, plain(one.text)) == (other.status_code, plain(other.text)), patient


async def _views_hold_what_is_seen(callers: tuple[Caller, Caller]) -> None:
    for type_, select in VIEWS:
        view = {"resourceType": "ViewDefinition", "status": "active", "resource": type_, "select": select}
        asked = {"resourceType": "Parameters", "parameter": [{"name": "viewResource", "resource": view}]}
        answers = [await caller.ask("POST", "/fhir/$viewdefinition-run?_format=ndjson", asked) for caller in callers]
        one, other = [(a.status_code, sorted(plain(a.text).splitlines())) for a in answers]
        assert one == other, type_


async def _matches_are_among_what_is_seen(callers: tuple[Caller, Caller]) -> None:
    for patient in PATIENTS:
        asked = {"resourceType": "Parameters", "parameter": [
            {"name": "resource", "resource": {"resourceType": "Patient", "name": [{"family": f"F{patient}"}]}},
        ]}  # fmt: skip
        one, other = [await caller.ask("POST", "/fhir/Patient/$match", asked) for caller in callers]
        assert one.status_code == other.status_code
        found = [[entry["resource"].get("id") for entry in json.loads(a.text).get("entry", [])] for a in (one, other)]
        assert found[0] == found[1], patient


async def test_plugins_answer_as_if_the_rest_were_not_there(callers: tuple[Caller, Caller]) -> None:
    await _exports_hold_what_is_seen(callers)
    await _graphql_answers_what_is_seen(callers)
    await _views_hold_what_is_seen(callers)
    await _matches_are_among_what_is_seen(callers)
