"""An app is launched and authorized at a tenant: by the pages of its own host, and below /t/."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from fhir_server.auth.clients import save_client
from fhir_server.auth.users import new_user, save_user, with_password
from tests.conformance.smart.conftest import BASE, PASSWORD, PUBLIC, Ehr
from tests.conformance.tenants.conftest import House, house

ELSEWHERE = {"host": "elsewhere.example"}


async def _staffed(one: House, base: str) -> Ehr:
    assert one.app.running is not None
    desk = await one.app.running.desk_of("a", base)
    doctor = await with_password(new_user("doc", subject="Practitioner/doc", roles=("clinician",)), PASSWORD)
    await save_user(desk, doctor)
    await save_client(desk, PUBLIC)
    return Ehr(one.http, desk, doctor, doctor, one.app)


async def test_the_whole_way_on_a_host_of_its_own(tmp_path: Path) -> None:
    async with house(tmp_path, tenant_hosts=("ehr.example=a",)) as one:
        made = await one.operator.post("/auth/admin/tenants", json={"name": "a"}, headers=ELSEWHERE)
        assert made.status_code == 201, made.text
        ehr = await _staffed(one, BASE)
        answer = await ehr.granted("openid fhirUser user/*.cruds offline_access")
        header = {"authorization": f"Bearer {answer['access_token']}"}
        assert (await one.http.get("/fhir/Patient", headers=header)).status_code == 200
        assert (await one.http.get("/fhir/Patient", headers=header | ELSEWHERE)).status_code == 401
        assert (await ehr.refreshed(answer["refresh_token"])).status_code == 200
        assert (await ehr.configuration())["issuer"] == BASE
        assert not [step for step in ehr.steps if step.startswith("/t/")]


async def test_the_whole_way_below_t(smart_house: House) -> None:
    base = "http://ehr.example/t/a/fhir"
    ehr = await _staffed(smart_house, base)
    query = {
        "response_type": "code", "client_id": PUBLIC.id, "redirect_uri": PUBLIC.redirect_uris[0], "state": "s",
        "scope": "user/*.rs", "aud": base, "code_challenge_method": "S256", "code_challenge": "x" * 43,
    }  # fmt: skip
    asked = await smart_house.http.get("/t/a/auth/authorize", params=query)
    assert urlsplit(asked.headers["location"]).path.startswith("/t/a/auth/")
    told = await replace(ehr).walked(asked)
    assert told["iss"] == base and "code" in told
    wrong = await smart_house.http.get("/t/a/auth/authorize", params=query | {"aud": "http://ehr.example/t/b/fhir"})
    assert "error" in dict(parse_qsl(urlsplit(wrong.headers["location"]).query))
    form = {"grant_type": "authorization_code", "code": told["code"], "client_id": PUBLIC.id, "code_verifier": "v" * 43,
            "redirect_uri": PUBLIC.redirect_uris[0]}  # fmt: skip
    assert (await smart_house.http.post("/t/b/auth/token", data=form)).status_code == 401
