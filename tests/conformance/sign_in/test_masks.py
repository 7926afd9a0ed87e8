"""Masking by role, through the whole server with tokens."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from fhir_server.auth.users import User, new_user, save_user
from tests.builders import bundle, entry
from tests.conformance.smart.conftest import SERVICE, Ehr, record

WAIT = 1.2
ANN = record(
    "Patient", "ann", name=[{"family": "Able"}], telecom=[{"system": "phone", "value": "555-1"}], gender="female",
    contact=[{"name": {"text": "Bob"}, "telecom": [{"system": "phone", "value": "555-2"}]}], birthDate="1980-02-03",
    text={"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">call 555-1</div>'},
)  # fmt: skip
PULSE = record(
    "Observation", "pulse", status="final", code={"text": "pulse"}, subject={"reference": "Patient/ann"},
    note=[{"text": "said 555-3"}], valueQuantity={"value": 70}, performer=[{"reference": "Practitioner/doc"}],
)  # fmt: skip
RULES = [
    {"path": "Patient.telecom"}, {"path": "Patient.contact.telecom"},
    {"path": "Patient.birthDate", "with": "1900-01-01"}, {"path": "Observation.note"},
    {"path": "Observation.performer"},
]  # fmt: skip


class Clinic:
    """A server where the role `clerk2` hides things, and tokens of all who ask."""

    def __init__(self, ehr: Ehr, doctor: str, clerk: str, admin: str, clerks: User) -> None:
        self.ehr, self.doctor, self.clerk, self.admin, self.user = ehr, doctor, clerk, admin, clerks

    async def get(self, url: str, token: str = "") -> httpx.Response:
        return await self.ehr.fhir(url, token or self.clerk)

    async def put(self, body: dict[str, Any], token: str = "", method: str = "PUT") -> httpx.Response:
        return await self.ehr.fhir(f"{body['resourceType']}/{body['id']}", token or self.clerk, method, body)

    async def stored(self, url: str = "Patient/ann") -> dict[str, Any]:
        answer = await self.ehr.fhir(url, self.doctor)
        found: dict[str, Any] = answer.json()
        return found

    async def mask(self, role: str, rules: list[dict[str, Any]] | None, wait: float = WAIT) -> httpx.Response:
        headers, url = {"authorization": f"Bearer {self.admin}"}, f"/auth/admin/masks/{role}"
        if rules is None:
            answer = await self.ehr.http.delete(url, headers=headers)
        else:
            answer = await self.ehr.http.put(url, headers=headers, json={"rules": rules})
        await asyncio.sleep(wait)
        return answer


@pytest.fixture
async def clinic(ehr: Ehr) -> Clinic:
    doctor = await ehr.bearer("user/*.cruds", user=ehr.doctor)
    for resource in (record("Practitioner", "doc"), ANN, PULSE):
        answer = await ehr.fhir(f"{resource['resourceType']}/{resource['id']}", doctor, "PUT", resource)
        assert answer.status_code == 201, answer.text
    admin = replace(new_user("root", roles=("admin",)), password=ehr.doctor.password)
    nurse = replace(new_user("nan", subject="Practitioner/nan", roles=("nurse",)), password=ehr.doctor.password)
    for user in (admin, nurse):
        await save_user(ehr.desk, user)
    await save_user(ehr.desk, replace(nurse, roles=("clinician", "nurse")))
    found = Clinic(
        ehr, doctor, await ehr.bearer("user/*.cruds", user=replace(nurse, roles=("clinician", "nurse"))),
        await ehr.bearer("user/*.cruds", user=admin), nurse,
    )  # fmt: skip
    for role in ("nurse", "clinician"):
        answer = await found.mask(role, RULES, wait=0)
        assert answer.status_code == 200, answer.text
    await asyncio.sleep(WAIT)
    found.doctor = found.admin
    return found


def hides(text: str) -> bool:
    return not any(secret in text for secret in ("555-1", "555-2", "555-3", "1980-02", '"performer"'))


READS = """
    Patient/ann
    Patient/ann/_history
    Patient/ann/_history/1
    Patient/_history
    _history
    Patient?_id=ann
    Patient?gender=female&_revinclude=Observation:subject
    Observation?_include=Observation:subject
    ?_type=Patient,Observation
    Patient/ann/Observation
    Patient/ann/*
    Patient/ann/$everything
    Patient/ann/$export-subject
    Patient/ann/$export-subject?format=html&history=true
    Observation/pulse
    Observation/pulse?_elements=note,performer
    Patient/ann?_summary=true
    Patient?_summary=text
    Observation/$lastn?patient=ann&code:text=pulse
    Patient/ann/$fhirpath?expression=telecom
    Patient/ann/$validate
    Observation/pulse?_format=xml
    Patient/ann?_elements=telecom,birthDate
""".strip().splitlines()


async def test_what_is_hidden_is_in_no_answer(clinic: Clinic) -> None:
    for url in map(str.strip, READS):
        seen, all_ = await clinic.get(url), await clinic.get(url, clinic.doctor)
        assert seen.status_code == all_.status_code, seen.text
        assert hides(seen.text), seen.text
        if "summary" not in url and "validate" not in url and "fhirpath" not in url and all_.status_code == 200:
            assert not hides(all_.text)


async def test_hidden_elements_are_marked_and_the_rest_is_as_it_was(clinic: Clinic) -> None:
    seen = (await clinic.get("Patient/ann")).json()
    assert [label["code"] for label in seen["meta"]["security"]] == ["SUBSETTED", "MASKED"]
    assert seen["birthDate"] == "1900-01-01"
    assert seen["contact"] == [{"name": {"text": "Bob"}}]
    assert seen["name"] == ANN["name"]
    assert "security" not in (await clinic.stored())["meta"]


async def test_batches_and_jobs_are_masked(clinic: Clinic) -> None:
    asked = bundle("batch", entry("GET", "Patient/ann"), entry("GET", "Observation?subject=Patient/ann"))
    seen = await clinic.ehr.fhir("", clinic.clerk, "POST", asked)
    assert seen.json()["entry"][0]["resource"]["id"] == "ann"
    assert hides(seen.text)
    headers = {"authorization": f"Bearer {clinic.clerk}", "prefer": "respond-async"}
    job = await clinic.ehr.http.get("/fhir/Patient/ann/$everything", headers=headers)
    assert job.status_code == 202
    for _ in range(50):
        answer = await clinic.get(job.headers["content-location"].partition("/fhir/")[2])
        if answer.status_code != 202:
            break
        await asyncio.sleep(0.05)
    assert '"ann"' in answer.text
    assert hides(answer.text)


REFUSED = """
    Patient?telecom=555-1
    Patient?phone=555-1
    Patient?birthdate=1980-02-03
    Patient?_content=call
    Patient?_text=call
    Observation?subject:Patient.phone=555-1
    Patient?_sort=birthdate
    Observation?performer=Practitioner/doc
    Practitioner?_has:Observation:performer:status=final
    Observation?_include=Observation:performer
    Observation?_include=*
    Practitioner?_revinclude=Observation:performer
    Patient?_filter=birthdate eq 1980-02-03
    Observation?patient.birthdate=1980
    Patient/ann/Observation?performer:missing=false
    ?_type=Patient&_content=call
""".strip().splitlines()


async def test_what_is_hidden_cannot_be_searched_by(clinic: Clinic) -> None:
    for url in map(str.strip, REFUSED):
        refused = await clinic.get(url)
        assert refused.status_code == 403, refused.text
        assert "hidden from your role" in refused.text
        if "performer" not in url or "_has" in url:
            assert (await clinic.get(url, clinic.doctor)).status_code == 200


async def test_conditions_of_writes_are_searches_too(clinic: Clinic) -> None:
    answer = await clinic.ehr.fhir("Patient?phone=555-1", clinic.clerk, "DELETE")
    assert answer.status_code == 403
    headers = {"authorization": f"Bearer {clinic.clerk}", "if-none-exist": "phone=555-1"}
    answer = await clinic.ehr.http.post("/fhir/Patient", json=record("Patient", ""), headers=headers)
    assert answer.status_code in (400, 403)
    assert (await clinic.stored())["id"] == "ann"


async def test_a_put_keeps_what_it_could_not_see(clinic: Clinic) -> None:
    seen = (await clinic.get("Patient/ann")).json()
    answer = await clinic.put(seen | {"gender": "other"})
    assert answer.status_code == 200, answer.text
    assert hides(answer.text)
    stored = await clinic.stored()
    assert stored["gender"] == "other"
    assert [stored[name] for name in ("telecom", "contact", "birthDate", "text")] == [
        ANN[name] for name in ("telecom", "contact", "birthDate", "text")
    ]
    assert "security" not in stored["meta"]
    assert len((await clinic.stored("Patient?phone=555-1"))["entry"]) == 1, "the index knows what is hidden"


@pytest.mark.parametrize(
    "change",
    [
        {"telecom": [{"system": "sms", "value": "1"}]}, {"birthDate": "1999-01-01"}, {"contact": []},
        {"contact": [{"name": {"text": "Eve"}}]},
        {"contact": [{"name": {"text": "Bob"}, "telecom": [{"system": "sms", "value": "9"}]}]},
    ],
)  # fmt: skip
async def test_a_put_of_what_is_hidden_is_refused(clinic: Clinic, change: dict[str, Any]) -> None:
    seen = (await clinic.get("Patient/ann")).json()
    answer = await clinic.put({name: value for name, value in (seen | change).items() if value != []})
    assert answer.status_code == 403, answer.text
    stored = await clinic.stored()
    assert stored["telecom"] == ANN["telecom"]
    assert stored["contact"] == ANN["contact"]


async def test_whether_there_is_something_hidden_is_not_told_by_a_refusal(clinic: Clinic) -> None:
    bare = record("Patient", "bare", gender="male")
    assert (await clinic.put(bare, clinic.doctor)).status_code == 201
    refused = await clinic.put(bare | {"telecom": [{"system": "sms", "value": "1"}]})
    assert refused.status_code == 403


async def test_patches_touch_what_is_seen_alone(clinic: Clinic) -> None:
    async def patched(*steps: dict[str, Any]) -> int:
        headers = {"authorization": f"Bearer {clinic.clerk}", "content-type": "application/json-patch+json"}
        answer = await clinic.ehr.http.patch("/fhir/Patient/ann", content=json.dumps(steps), headers=headers)
        assert hides(answer.text)
        return answer.status_code

    assert await patched({"op": "replace", "path": "/gender", "value": "other"}) == 200
    assert await patched({"op": "copy", "from": "/telecom/0/value", "path": "/language"}) in (400, 422)
    assert await patched({"op": "test", "path": "/telecom/0/value", "value": "555-1"}) in (400, 409, 412, 422)
    assert await patched({"op": "remove", "path": "/telecom"}) in (400, 422)
    assert await patched({"op": "add", "path": "/telecom", "value": [{"system": "sms", "value": "1"}]}) == 403
    stored = await clinic.stored()
    assert (stored["gender"], stored["telecom"], stored["contact"]) == ("other", ANN["telecom"], ANN["contact"])


async def test_meta_operations_leave_no_marks_in_the_record(clinic: Clinic) -> None:
    meta = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "t"}]}}]}
    answer = await clinic.ehr.fhir("Patient/ann/$meta-add", clinic.clerk, "POST", meta)
    assert answer.status_code == 200, answer.text
    stored = await clinic.stored()
    assert [tag["code"] for tag in stored["meta"]["tag"]] == ["t"]
    assert "security" not in stored["meta"]
    assert stored["telecom"] == ANN["telecom"]


async def test_granular_scopes_are_judged_by_what_is_stored(clinic: Clinic) -> None:
    await clinic.mask("nurse", [{"path": "Observation.code"}, {"path": "Observation.status"}])
    await clinic.mask("clinician", [{"path": "Observation.code"}, {"path": "Observation.status"}])
    user = replace(clinic.user, roles=("clinician", "nurse"))
    final = await clinic.ehr.bearer("user/Observation.cruds?status=final", user=user)
    other = await clinic.ehr.bearer("user/Observation.cruds?status=amended", user=user)
    seen = await clinic.get("Observation/pulse", final)
    assert seen.status_code == 200
    assert "status" not in seen.json()
    assert (await clinic.get("Observation?_id=pulse", final)).json()["entry"]
    assert (await clinic.get("Observation/pulse", other)).status_code == 404
    assert (await clinic.put(seen.json() | {"language": "en"}, final)).status_code == 200
    assert (await clinic.stored("Observation/pulse"))["status"] == "final"


async def test_rules_hold_by_role_and_end_within_a_second(clinic: Clinic) -> None:
    service = await clinic.ehr.bearer("system/*.rs", SERVICE)
    assert "555-1" in (await clinic.get("Patient/ann", service)).text
    await clinic.mask("*", [{"path": "Patient.telecom"}])
    assert "555-1" not in (await clinic.get("Patient/ann", service)).text
    assert (await clinic.mask("*", None)).status_code == 204
    assert "555-1" in (await clinic.get("Patient/ann", service)).text
    assert hides((await clinic.get("Patient/ann")).text)
    await clinic.mask("clinician", None)
    assert "555-1" in (await clinic.get("Patient/ann")).text, "one of the roles may see it"


async def test_only_administrators_say_what_is_hidden(clinic: Clinic) -> None:
    headers = {"authorization": f"Bearer {clinic.clerk}"}
    for method, url in (("GET", "masks"), ("PUT", "masks/nurse"), ("DELETE", "masks/nurse")):
        assert (await clinic.ehr.http.request(method, f"/auth/admin/{url}", headers=headers)).status_code == 403
    assert (await clinic.mask("nobody", [])).status_code == 404
    assert (await clinic.mask("nurse", [{"path": "Patient.id"}])).status_code in (400, 422)
    headers = {"authorization": f"Bearer {clinic.admin}"}
    shown = (await clinic.ehr.http.get("/auth/admin/masks", headers=headers)).json()["masks"]
    assert shown["nurse"] == RULES


async def test_plugins_show_nothing_that_is_hidden(clinic: Clinic) -> None:
    """GraphQL, views, exports and matching read as everything else does."""
    query = {
        "query": "{PatientList{id birthDate telecom{value} contact{telecom{value}}} ObservationList{id note{text}}}"
    }
    columns = [{"name": "phone", "path": "telecom.value.first()"}, {"name": "born", "path": "birthDate"}]
    view = {
        "resourceType": "ViewDefinition",
        "status": "active",
        "resource": "Patient",
        "select": [{"column": columns}],
    }
    asked = {"resourceType": "Parameters", "parameter": [{"name": "viewResource", "resource": view}]}
    alike = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": {
        "resourceType": "Patient", "name": [{"family": "Able"}], "birthDate": "1980-02-03"}}]}  # fmt: skip
    for url, body in (("$graphql", query), ("$viewdefinition-run?_format=ndjson", asked), ("Patient/$match", alike)):
        seen, all_ = [await clinic.ehr.fhir(url, token, "POST", body) for token in (clinic.clerk, clinic.doctor)]
        assert hides(seen.text), (url, seen.text)
        assert all_.status_code == 200, all_.text
        assert url == "Patient/$match" or not hides(all_.text), url
    headers = {"authorization": f"Bearer {clinic.clerk}", "prefer": "respond-async"}
    started = await clinic.ehr.http.get("/fhir/$export?_type=Patient,Observation", headers=headers)
    assert started.status_code == 202, started.text
    for _ in range(200):
        status = await clinic.ehr.http.get(started.headers["content-location"], headers=headers)
        if status.status_code != 202:
            break
        await asyncio.sleep(0.05)
    files = [await clinic.ehr.http.get(file["url"], headers=headers) for file in status.json()["output"]]
    assert len(files) == 2
    for file in files:
        assert '"id":"' in file.text
        assert hides(file.text)


async def test_an_emergency_shows_what_is_hidden(clinic: Clinic) -> None:
    doctor = await clinic.ehr.bearer("user/*.rs", user=clinic.ehr.doctor)
    assert hides((await clinic.get("Patient/ann", doctor)).text)
    asked = {"patient": "ann", "reason": "unconscious, allergies unknown"}
    opened = await clinic.ehr.http.post("/auth/emergency", json=asked, headers={"authorization": f"Bearer {doctor}"})
    assert opened.status_code == 200, opened.text
    seen = await clinic.get("Patient/ann", opened.json()["access_token"])
    assert "555-1" in seen.text
    assert "security" not in seen.json()["meta"]
