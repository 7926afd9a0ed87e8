"""The life of a tenant: created with an administrator, changed, suspended, resumed, erased."""

import asyncio
from pathlib import Path

import pytest

from tests.conformance.tenants.conftest import House, house

PATIENT = {"resourceType": "Patient", "name": [{"family": "Able"}]}
ADMIN = "/auth/admin/tenants"


async def test_a_tenant_comes_with_an_administrator_whose_password_is_good_once(smart_house: House) -> None:
    made = await smart_house.made("clinic", display="The clinic", administrator="root")
    assert made["state"] == "active" and made["display"] == "The clinic"
    form = {"name": "root", "password": made["oneTimePassword"], "request": ""}
    answer = await smart_house.http.post("/t/clinic/auth/sign-in", data=form)
    assert answer.status_code == 303 and "/t/clinic/auth/password" in answer.headers["location"]
    assert answer.headers["set-cookie"].startswith("fhir-session-clinic=")
    assert (await smart_house.http.post("/t/a/auth/sign-in", data=form)).status_code == 403
    assert (await smart_house.http.post("/auth/sign-in", data=form)).status_code == 403
    assert (await smart_house.http.get("/t/clinic/auth/manage")).status_code in (200, 303)


async def test_a_browser_is_signed_in_at_several_tenants(smart_house: House) -> None:
    for name in ("a", "b"):
        desk = await smart_house.desk(name)
        once = (await smart_house.operator.post(f"/t/{name}/auth/admin/users/admin/password", json={})).json()
        form = {"name": "admin", "password": once["oneTimePassword"], "request": ""}
        assert (await smart_house.http.post(f"/t/{name}/auth/sign-in", data=form)).status_code == 303
        assert desk.base.endswith(f"/t/{name}/fhir")
    assert {"fhir-session-a", "fhir-session-b"} <= set(smart_house.http.cookies)


@pytest.mark.parametrize("name", ["", "default", "A", "a b", "../x", "-a", "_a", "a" * 64, "ü", "a/b", "~"])
async def test_a_name_that_cannot_be_is_refused(tmp_path: Path, name: str) -> None:
    async with house(tmp_path, auth="none") as one:
        assert (await one.operator.post(ADMIN, json={"name": name})).status_code == 400
        assert sorted(folder.name for folder in (tmp_path / "tenants").iterdir()) == ["default"]


async def test_a_name_and_a_host_are_given_once(open_house: House) -> None:
    assert (await open_house.operator.post(ADMIN, json={"name": "a"})).status_code == 409
    await open_house.made("c", hosts=["c.example"])
    for body in ({"name": "d", "hosts": ["C.example"]}, {"name": "c"}):
        assert (await open_house.operator.post(ADMIN, json=body)).status_code == 409
    answer = await open_house.operator.patch(f"{ADMIN}/a", json={"hosts": ["c.example"]})
    assert answer.status_code == 409


async def test_a_tenant_has_settings_of_its_own(open_house: House) -> None:
    for _ in range(3):
        await open_house.http.post("/t/a/fhir/Patient", json=PATIENT)
    answer = await open_house.operator.patch(f"{ADMIN}/a", json={"settings": {"page_size": 2, "update_create": False}})
    assert answer.status_code == 200
    await asyncio.sleep(1)
    assert len((await open_house.http.get("/t/a/fhir/Patient")).json()["entry"]) == 2
    assert (await open_house.http.put("/t/a/fhir/Patient/x", json=PATIENT | {"id": "x"})).status_code == 405
    assert (await open_house.http.put("/t/b/fhir/Patient/x", json=PATIENT | {"id": "x"})).status_code == 201
    answer = await open_house.operator.patch(f"{ADMIN}/a", json={"settings": {"page_size": None}})
    assert answer.json()["settings"] == {"update_create": False}
    for settings in ({"data_dir": "/"}, {"page_size": 0}, {"page_size": "many"}, {"auth": "none"}):
        answer = await open_house.operator.patch(f"{ADMIN}/a", json={"settings": settings})
        assert answer.status_code == 400, settings


async def test_a_tenant_holds_no_more_than_it_may(open_house: House) -> None:
    await open_house.operator.patch(f"{ADMIN}/a", json={"max_resources": 2})
    await asyncio.sleep(1)
    for status in (201, 201, 507):
        assert (await open_house.http.post("/t/a/fhir/Patient", json=PATIENT)).status_code == status
    first = (await open_house.http.get("/t/a/fhir/Patient")).json()["entry"][0]["resource"]
    changed = first | {"gender": "other"}
    assert (await open_house.http.put(f"/t/a/fhir/Patient/{first['id']}", json=changed)).status_code == 200
    assert (await open_house.http.delete(f"/t/a/fhir/Patient/{first['id']}")).status_code in (200, 204)
    assert (await open_house.http.post("/t/a/fhir/Patient", json=PATIENT)).status_code == 201
    await open_house.operator.patch(f"{ADMIN}/b", json={"max_bytes": 1})
    await asyncio.sleep(1)
    assert (await open_house.http.post("/t/b/fhir/Patient", json=PATIENT)).status_code == 507
    assert (await open_house.http.get("/t/b/fhir/Patient")).status_code == 200


async def test_a_suspended_tenant_answers_nobody_within_a_second(smart_house: House) -> None:
    header = await smart_house.token("a")
    assert (await smart_house.http.get("/t/a/fhir/Patient", headers=header)).status_code == 200
    answer = await smart_house.operator.post(f"{ADMIN}/a/suspend", json={"reason": "bills are open"})
    assert answer.json()["state"] == "suspended"
    await asyncio.sleep(1)
    for path in ("fhir/Patient", "fhir/metadata", "fhir/.well-known/smart-configuration", "auth/jwks", "auth/manage"):
        answer = await smart_house.http.get(f"/t/a/{path}", headers=header)
        assert answer.status_code == 403, path
        assert "suspended: bills are open" in answer.json()["issue"][0]["diagnostics"]
    assert (await smart_house.http.get("/t/b/fhir/metadata")).status_code == 200
    assert (await smart_house.http.get("/fhir/metadata")).status_code == 200
    await smart_house.operator.post(f"{ADMIN}/a/resume")
    await asyncio.sleep(1)
    assert (await smart_house.http.get("/t/a/fhir/Patient", headers=header)).status_code == 200


async def test_a_suspended_tenant_can_be_exported(open_house: House) -> None:
    for _ in range(3):
        await open_house.http.post("/t/a/fhir/Patient", json=PATIENT)
    await open_house.operator.post(f"{ADMIN}/a/suspend", json={})
    answer = await open_house.operator.get(f"{ADMIN}/a/export")
    assert answer.headers["content-type"] == "application/fhir+ndjson"
    assert len(answer.text.splitlines()) == 3 and '"resourceType":"Patient"' in answer.text
    assert (await open_house.operator.get(f"{ADMIN}/b/export")).text == ""
    assert (await open_house.operator.get(f"{ADMIN}/none/export")).status_code == 404


async def test_an_erased_tenant_leaves_a_name_and_a_certificate(smart_house: House) -> None:
    header = await smart_house.token("a")
    await smart_house.http.post("/t/a/fhir/Patient", json=PATIENT, headers=header)
    folder = smart_house.app.settings.data_dir / "tenants"
    assert (folder / "a").exists()
    assert (await smart_house.operator.post(f"{ADMIN}/a/erase", json={})).status_code == 400
    assert (await smart_house.operator.post(f"{ADMIN}/a/erase", json={"confirm": "b"})).status_code == 400
    assert (await smart_house.http.get("/t/a/fhir/Patient", headers=header)).status_code == 200
    answer = await smart_house.operator.post(f"{ADMIN}/a/erase", json={"confirm": "a"})
    told = answer.json()
    assert answer.status_code == 200 and told["state"] == "erased"
    assert told["certificate"]["resources"] == 1 and told["certificate"]["bytesLeft"] == 0
    assert sorted(path.name for path in folder.iterdir()) == ["b", "default"]
    assert (await smart_house.http.get("/t/a/fhir/Patient", headers=header)).status_code == 401
    assert (await smart_house.http.get("/t/a/fhir/metadata")).status_code == 401
    assert (await smart_house.operator.post(ADMIN, json={"name": "a"})).status_code == 409
    for action in ("resume", "suspend"):
        assert (await smart_house.operator.post(f"{ADMIN}/a/{action}")).status_code == 409


async def test_only_administrators_of_the_default_tenant_look_after_tenants(smart_house: House) -> None:
    assert (await smart_house.http.get(ADMIN)).status_code == 401
    for tenant, roles, status in (
        ("default", ("admin",), 200), ("default", ("clinician",), 403), ("default", (), 403), ("a", ("admin",), 401),
    ):  # fmt: skip
        header = await smart_house.token(tenant, roles=roles)
        assert (await smart_house.http.get(ADMIN, headers=header)).status_code == status, (tenant, roles)
        assert (await smart_house.http.get(f"/t/a{ADMIN}", headers=header)).status_code in (401, 404)
        made = await smart_house.http.post(ADMIN, json={"name": "z"}, headers=header)
        assert made.status_code == (201 if status == 200 else status)


async def test_without_authorization_tenants_are_the_operators_alone(open_house: House) -> None:
    for method, path in (("GET", ""), ("POST", ""), ("POST", "/a/erase"), ("GET", "/a/export"), ("PATCH", "/a")):
        assert (await open_house.http.request(method, f"{ADMIN}{path}")).status_code == 403


async def test_a_creation_that_was_cut_off_is_finished_by_the_same_call(tmp_path: Path) -> None:
    async with house(tmp_path, auth="none") as one:
        assert one.app.running is not None and one.app.running.tenants is not None
        made = await one.made("a")
        await one.app.running.tenants.register.change("a", state="creating")
        assert (await one.http.get("/t/a/fhir/metadata")).status_code in (200, 404)
        again = await one.made("a")
        assert again["oneTimePassword"] != made["oneTimePassword"]


async def test_a_tenant_has_rate_limits_of_its_own(smart_house: House) -> None:
    headers = {tenant: await smart_house.token(tenant) for tenant in ("a", "b")}
    limit = {"settings": {"rate_tenant": "3/hour"}}
    assert (await smart_house.operator.patch(f"{ADMIN}/a", json=limit)).status_code == 200
    await asyncio.sleep(1.1)
    for tenant, expected in (("a", [200, 200, 200, 429]), ("b", [200] * 4)):
        asked = [await smart_house.http.get(f"/t/{tenant}/fhir/Patient", headers=headers[tenant]) for _ in range(4)]
        assert [answer.status_code for answer in asked] == expected
    refused = await smart_house.http.get("/t/a/fhir/Patient", headers=headers["a"])
    assert 0 < int(refused.headers["retry-after"]) <= 3_600
    wrong = await smart_house.operator.patch(f"{ADMIN}/a", json={"settings": {"rate_user": "often"}})
    assert wrong.status_code == 400 and "rate_user" in wrong.text
    assert (await smart_house.operator.patch(f"{ADMIN}/a", json={"settings": {"rate_tenant": None}})).status_code == 200
    await asyncio.sleep(1.1)
    assert (await smart_house.http.get("/t/a/fhir/Patient", headers=headers["a"])).status_code == 200


async def test_a_tenant_under_a_legal_hold_is_not_erased(smart_house: House) -> None:
    header = await smart_house.token("a", roles=("admin",))
    url = "/t/a/fhir/Patient/x"
    assert (await smart_house.http.put(url, json=PATIENT | {"id": "x"}, headers=header)).status_code == 201
    for action, status in (("place", 409), ("release", 200)):
        parts = [{"name": "action", "valueCode": action}, {"name": "reason", "valueString": "case 7"}]
        asked = {"resourceType": "Parameters", "parameter": parts}
        placed = await smart_house.http.post(f"{url}/$legal-hold", json=asked, headers=header)
        assert placed.status_code == 200, placed.text
        answer = await smart_house.operator.post(f"{ADMIN}/a/erase", json={"confirm": "a"})
        assert answer.status_code == status, answer.text
