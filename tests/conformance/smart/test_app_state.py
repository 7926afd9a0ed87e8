"""State of apps: an endpoint of its own for small Basic resources.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-state.html
"""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest

from fhir_server.auth.clients import save_client
from fhir_server.auth.users import new_user, save_user
from tests.conformance.smart.conftest import BASE, PUBLIC, SERVICE, Ehr, record
from tests.conformance.smart.requirements import requirement

OWN = "https://app.example"
CODE = "display-preferences"
HERE = "/auth/app-state/Basic"


def state(subject: str = "Practitioner/doc", code: str = CODE, system: str = OWN, text: str = "x", **more: Any) -> Any:
    about = {"subject": {"reference": f"{BASE}/{subject}"}} if subject else {}
    return {
        "resourceType": "Basic", "code": {"coding": [{"system": system, "code": code}]}, **about,
        "extension": [{"url": f"{OWN}/preferences", "valueString": text}],
    } | more  # fmt: skip


class App:
    """An app with a token."""

    def __init__(self, ehr: Ehr, token: str) -> None:
        self.ehr, self.headers = ehr, {"authorization": f"Bearer {token}"}

    async def ask(self, method: str, url: str = "", body: Any = None, **headers: str) -> httpx.Response:
        sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.ehr.http.request(method, HERE + url, json=body, headers=sent)

    async def create(self, **given: Any) -> httpx.Response:
        return await self.ask("POST", "", state(**given))

    async def made(self, **given: Any) -> dict[str, Any]:
        answer = await self.create(**given)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def found(self, subject: str = "Practitioner/doc", code: str = CODE) -> list[str]:
        about = f"subject={BASE}/{subject}" if subject else "subject:missing=true"
        answer = await self.ask("GET", f"?code={OWN}|{code}&{about}")
        assert answer.status_code == 200, answer.text
        bundle = answer.json()
        assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "searchset")
        return [entry["resource"]["id"] for entry in bundle.get("entry", [])]


@pytest.fixture
async def app(ehr: Ehr) -> App:
    return App(ehr, await ehr.bearer("user/*.cruds", user=ehr.doctor))


@requirement("371")
async def test_the_endpoint_is_told_with_its_capability(ehr: Ehr) -> None:
    told = (await ehr.configuration())["associated_endpoints"]
    assert {"url": "http://ehr.example/auth/app-state", "capabilities": ["smart-app-state"]} in told


@requirement("371")
async def test_a_state_is_created_found_changed_and_deleted(app: App) -> None:
    answer = await app.create(code="crud", text='{"view": "problems"}')
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["etag"] == f'W/"{made["meta"]["versionId"]}"'
    assert answer.headers["location"] == f"http://ehr.example{HERE}/{made['id']}"
    sent = state(code="crud", text='{"view": "problems"}')
    assert {name: made[name] for name in sent} == sent
    assert await app.found(code="crud") == [made["id"]]

    changed = sent | {"id": made["id"], "extension": [{"url": f"{OWN}/preferences", "valueString": "other"}]}
    answer = await app.ask("PUT", f"/{made['id']}", changed, if_match=answer.headers["etag"])
    assert answer.status_code == 200, answer.text
    assert answer.json()["extension"] == changed["extension"]
    assert answer.headers["etag"] != f'W/"{made["meta"]["versionId"]}"'

    gone = await app.ask("DELETE", f"/{made['id']}", if_match=answer.headers["etag"])
    assert gone.status_code == 204
    assert await app.found(code="crud") == []
    for method, body in (("PUT", changed), ("DELETE", None)):
        again = await app.ask(method, f"/{made['id']}", body, if_match=answer.headers["etag"])
        assert again.status_code == 412, "what was deleted is a failed precondition"


async def test_contention_is_noticed(app: App) -> None:
    made = await app.made(code="contended")
    body = state(code="contended") | {"id": made["id"]}
    assert (await app.ask("PUT", f"/{made['id']}", body)).status_code == 412, "If-Match has to be there"
    assert (await app.ask("DELETE", f"/{made['id']}")).status_code == 412
    assert (await app.ask("PUT", f"/{made['id']}", body, if_match='W/"9"')).status_code == 412
    answers = await asyncio.gather(*(app.ask("PUT", f"/{made['id']}", body, if_match='W/"1"') for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412, 412]
    assert (await app.ask("DELETE", f"/{made['id']}", if_match='W/"1"')).status_code == 412
    assert (await app.ask("DELETE", f"/{made['id']}", if_match='W/"2"')).status_code == 204


async def test_code_and_subject_stay(app: App) -> None:
    made = await app.made(code="kept")
    for body in (state(code="other"), state(code="kept", subject="Patient/ann"), state(code="kept", subject="")):
        answer = await app.ask("PUT", f"/{made['id']}", body | {"id": made["id"]}, if_match='W/"1"')
        assert answer.status_code in (403, 412), answer.text
    assert (await app.ask("PUT", f"/{made['id']}", state(code="kept"), if_match='W/"1"')).status_code == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "mine"}, {"meta": {"versionId": "3"}}, {"code": {"coding": []}}, {"code": {"text": "x"}},
        {"code": {"coding": [{"system": OWN, "code": "a"}, {"system": OWN, "code": "b"}]}},
        {"code": {"coding": [{"code": "a"}]}}, {"extension": [{"url": "x", "valueInteger": 1}]},
        {"extension": [{"url": "x", "extension": [{"url": "y", "valueString": "z"}]}]}, {"extension": {}},
        {"subject": {"reference": "Practitioner/doc"}}, {"subject": {"display": "Doc"}}, {"identifier": []},
        {"subject": {"reference": "https://elsewhere.example/fhir/Practitioner/doc"}}, {"resourceType": "Patient"},
        {"subject": {"reference": f"{BASE}/Observation/ann-pulse"}}, {"meta": []},
        {"extension": [{"url": "x", "valueString": "y" * 262_144}]},
    ],
)  # fmt: skip
async def test_what_a_state_cannot_have_is_refused(app: App, wrong: dict[str, Any]) -> None:
    answer = await app.ask("POST", "", state() | wrong)
    assert answer.status_code in (400, 413, 422), answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"


async def test_there_is_state_of_each_kind_of_subject(app: App) -> None:
    writer = await app.ehr.bearer("user/*.cruds", user=app.ehr.doctor)
    for resource in (
        record("PractitionerRole", "role", practitioner={"reference": "Practitioner/doc"}),
        record("Person", "self", link=[{"target": {"reference": "Practitioner/doc"}}]),
        record("PractitionerRole", "others", practitioner={"reference": "Practitioner/someone"}),
    ):
        url = f"{resource['resourceType']}/{resource['id']}"
        assert (await app.ehr.fhir(url, writer, "PUT", resource)).status_code in (200, 201)
    for subject in ("Practitioner/doc", "Patient/ann", "PractitionerRole/role", "Person/self"):
        made = await app.made(subject=subject, code="kinds")
        assert await app.found(subject, "kinds") == [made["id"]]
    for subject in ("Practitioner/other", "PractitionerRole/others", "Patient/never"):
        assert (await app.create(subject=subject, code="kinds")).status_code == 403
    mum = replace(app.ehr.ann, subject="RelatedPerson/mum")
    await save_user(app.ehr.desk, replace(mum, id="mum-2", name="mum-2"))
    relative = App(app.ehr, await app.ehr.bearer("user/*.cruds", user=replace(mum, id="mum-2", roles=("patient",))))
    assert (await relative.create(subject="RelatedPerson/mum", code="kinds")).status_code == 201


async def test_state_is_no_resource_of_the_record(app: App) -> None:
    made = await app.made(code="apart")
    token = await app.ehr.bearer("user/*.cruds", user=app.ehr.doctor)
    assert (await app.ehr.fhir(f"Basic/{made['id']}", token)).status_code == 404
    assert made["id"] not in (await app.ehr.fhir(f"Basic?code={OWN}|apart", token)).text
    assert made["id"] not in (await app.ehr.fhir("_history", token)).text


async def test_an_app_has_the_codes_that_it_is_associated_with(app: App) -> None:
    elsewhere = "https://others.example"
    for method, url, body in (
        ("POST", "", state(system=elsewhere)),
        ("GET", f"?code={elsewhere}|{CODE}&subject:missing=true", None),
    ):
        assert (await app.ask(method, url, body)).status_code == 403
    await save_client(app.ehr.desk, replace(PUBLIC, state_codes=(f"{elsewhere}|shared", "https://suite.example|")))
    assert (await app.create(system=elsewhere, code="shared")).status_code == 201
    assert (await app.create(system="https://suite.example", code="anything")).status_code == 201
    assert (await app.create(system=elsewhere)).status_code == 403
    assert (await app.create()).status_code == 403, "codes that administrators name go before the origin"
    await save_client(app.ehr.desk, PUBLIC)


async def test_scopes_are_held_to(app: App) -> None:
    ehr, made = app.ehr, await app.made(code="scoped", subject="Patient/ann")
    reader = App(ehr, await ehr.bearer(f"user/Basic.s?code={OWN}|scoped user/Patient.rs", user=ehr.doctor))
    assert await reader.found("Patient/ann", "scoped") == [made["id"]]
    assert (await reader.create(code="scoped", subject="Patient/ann")).status_code == 403
    assert (await reader.ask("DELETE", f"/{made['id']}", if_match='W/"1"')).status_code == 403
    assert (await reader.ask("GET", f"?code={OWN}|{CODE}&subject={BASE}/Patient/ann")).status_code == 403
    of_ann = App(ehr, await ehr.bearer(f"patient/Basic.cuds?code={OWN}|scoped", user=ehr.doctor, patient="ann"))
    assert await of_ann.found("Patient/ann", "scoped") == [made["id"]]
    assert (await of_ann.create(code="scoped", subject="Patient/bob")).status_code == 403
    assert (await of_ann.create(code="scoped", subject="")).status_code == 403
    narrow = App(ehr, await ehr.bearer("user/Basic.cuds?author=Practitioner/doc", user=ehr.doctor))
    assert (await narrow.create(code="scoped")).status_code == 403
    other = App(ehr, await ehr.bearer("user/Observation.cruds", user=ehr.doctor))
    assert (await other.create()).status_code == 403


async def test_a_patient_keeps_state_about_themselves_alone(app: App) -> None:
    ann = App(app.ehr, await app.ehr.bearer("user/*.cruds", user=app.ehr.ann))
    assert (await ann.create(subject="Patient/ann", code="own")).status_code == 201
    assert (await ann.create(subject="Patient/bob", code="own")).status_code == 403


async def test_global_state_is_changed_by_administrators_and_services(app: App) -> None:
    ehr = app.ehr
    assert (await app.create(subject="", code="config")).status_code == 403
    root = replace(new_user("state-root", roles=("admin",)), password=ehr.doctor.password)
    await save_user(ehr.desk, root)
    admin = App(ehr, await ehr.bearer("user/Basic.cuds", user=root))
    made = await admin.made(subject="", code="config")
    assert "subject" not in made
    assert await app.found("", "config") == [made["id"]], "others read it"
    assert await app.found("Practitioner/doc", "config") == []
    await save_client(ehr.desk, replace(SERVICE, state_codes=(f"{OWN}|config",)))
    service = App(ehr, await ehr.bearer("system/Basic.cuds", SERVICE))
    assert (await service.create(subject="", code="config")).status_code == 201
    await save_client(ehr.desk, SERVICE)


async def test_a_token_is_needed(app: App) -> None:
    for method, url in (("POST", ""), ("GET", f"?code={OWN}|a&subject:missing=true"), ("PUT", "/x"), ("DELETE", "/x")):
        for headers in ({}, {"authorization": "Bearer bad"}, {"authorization": "Basic eDp5"}):
            answer = await app.ehr.http.request(method, HERE + url, headers=headers, json=None)
            assert answer.status_code == 401
            assert "Bearer" in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    "query",
    [
        "", "?subject:missing=true", f"?code={CODE}&subject:missing=true", f"?code={OWN}|&subject:missing=true",
        f"?code={OWN}|a", f"?code={OWN}|a&subject=Practitioner/doc", f"?code={OWN}|a&subject:missing=false",
        f"?code={OWN}|a&subject:missing=true&_count=3", f"?code={OWN}|a,{OWN}|b&subject:missing=true",
        f"?code={OWN}|a&code={OWN}|b&subject:missing=true",
        f"?code={OWN}|a&subject={BASE}/Patient/ann&subject:missing=true",
    ],
)  # fmt: skip
async def test_a_search_names_one_code_and_one_subject_or_none(app: App, query: str) -> None:
    assert (await app.ask("GET", query)).status_code in (400, 422)


async def test_pages_of_apps_may_call(app: App) -> None:
    origin = {"origin": OWN, "access-control-request-method": "PUT", "access-control-request-headers": "if-match"}
    answer = await app.ehr.http.options(f"{HERE}/x", headers=origin)
    assert answer.status_code == 204
    assert "PUT" in answer.headers["access-control-allow-methods"]
    assert "if-match" in answer.headers["access-control-allow-headers"].lower()
    answer = await app.ask("GET", f"?code={OWN}|a&subject:missing=true", origin=OWN)
    assert answer.headers["access-control-allow-origin"] in ("*", OWN)
    assert "etag" in answer.headers["access-control-expose-headers"].lower()


async def test_there_is_an_end_to_what_is_kept(app: App) -> None:
    for _ in range(app.ehr.desk.settings.app_state_most):
        await app.made(code="many")
    assert (await app.create(code="many")).status_code == 409
    assert (await app.create(code="few")).status_code == 201
