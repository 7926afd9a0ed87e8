"""Administration over HTTP: who may, what is checked, what it does."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from fhir_server.auth.users import find_named, new_user, save_user
from tests.conformance.smart.conftest import PASSWORD, Ehr


async def _admin(ehr: Ehr, scopes: str = "user/*.cruds") -> str:
    boss = replace(new_user("boss", roles=("admin",)), password=ehr.doctor.password)
    if await find_named(ehr.desk, "boss") is None:
        await save_user(ehr.desk, boss)
    user = await find_named(ehr.desk, "boss")
    return await ehr.bearer(scopes, user=user)


async def _ask(ehr: Ehr, token: str, method: str, path: str, body: Any = None) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return await ehr.http.request(method, f"/auth/admin{path}", json=body, headers=headers)


async def test_only_the_whole_token_of_an_administrator_lets_in(ehr: Ehr) -> None:
    assert (await _ask(ehr, "", "GET", "/users")).status_code == 401
    assert (await _ask(ehr, "nonsense", "GET", "/users")).status_code == 401
    assert (await _ask(ehr, await ehr.bearer("user/*.cruds", user=ehr.doctor), "GET", "/users")).status_code == 403
    assert (await _ask(ehr, await _admin(ehr, "user/*.rs"), "GET", "/users")).status_code == 403
    assert (await _ask(ehr, await _admin(ehr, "patient/*.cruds"), "GET", "/users")).status_code == 403
    answer = await _ask(ehr, await _admin(ehr), "GET", "/users")
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    assert "argon2" not in answer.text and {"doc", "boss"} <= {user["name"] for user in answer.json()["users"]}
    await _sign_in(ehr, "boss", PASSWORD)
    assert (await _ask(ehr, "", "GET", "/users")).status_code == 401, "a cookie is not enough: forms of others carry it"


async def _sign_in(ehr: Ehr, name: str, password: str) -> int:
    answer = await ehr.http.post("/auth/sign-in", data={"name": name, "password": password})
    return answer.status_code


@pytest.mark.parametrize(("body", "said"), [
    ({"name": "a b"}, "made of letters"), ({}, "needs a name"), ({"name": "x", "roles": ["king"]}, "no role king"),
    ({"name": "x", "subject": "Observation/1"}, "no Practitioner"),
    ({"name": "x", "subject": "Patient/ä"}, "with an id"),
    ({"name": "x", "password": "short"}, "at least 12"), ({"name": "x", "admin": True}, "unknown field `admin`"),
    ({"name": 3}, "Expected `str"), ({"name": "x", "identities": ["me"]}, "ISSUER|SUBJECT"), ([], "Expected `object`"),
    ({"name": "doc"}, "already"),
])  # fmt: skip
async def test_what_cannot_be_a_user_is_refused_in_words(ehr: Ehr, body: Any, said: str) -> None:
    answer = await _ask(ehr, await _admin(ehr), "POST", "/users", body)
    assert answer.status_code in (400, 409)
    assert answer.json()["resourceType"] == "OperationOutcome" and said in answer.json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize(("body", "said"), [
    ({"name": "App"}, "redirect_uris"), ({"name": "App", "redirect_uris": ["http://evil.example/"]}, "https"),
    ({"redirect_uris": ["https://a.example/"]}, "needs a name"), ({"id": "a/b", "name": "A"}, "made of letters"),
    ({"name": "A", "redirect_uris": ["https://a.example/"], "scopes": "all"}, "no scopes: all"),
    ({"name": "A", "kind": "asymmetric"}, "jwks"), ({"name": "A", "kind": "secret"}, "Invalid enum"),
    ({"id": "public-app", "name": "A", "redirect_uris": ["https://a.example/"]}, "already"),
])  # fmt: skip
async def test_what_cannot_be_a_client_is_refused_in_words(ehr: Ehr, body: Any, said: str) -> None:
    answer = await _ask(ehr, await _admin(ehr), "POST", "/clients", body)
    assert answer.status_code in (400, 409), answer.text
    assert said in answer.json()["issue"][0]["diagnostics"]


async def test_a_user_goes_their_way_from_one_time_password_to_removal(ehr: Ehr) -> None:
    token = await _admin(ehr)
    made = (await _ask(ehr, token, "POST", "/users", {"name": "Zoë", "roles": ["nurse"]})).json()
    assert made["name"] == "zoë"
    once = made["oneTimePassword"]
    answer = await ehr.http.post("/auth/sign-in", data={"name": "ZOË", "password": once})
    assert answer.headers["location"].startswith("http://ehr.example/auth/password")
    set_to = {"password": "zoe has a password"}
    assert (await _ask(ehr, token, "POST", "/users/zoë/password", set_to)).status_code == 200
    assert await _sign_in(ehr, "zoë", "zoe has a password") == 303
    assert (await _ask(ehr, token, "POST", "/users/zoë/lock")).json()["active"] is False
    assert await _sign_in(ehr, "zoë", "zoe has a password") == 403
    assert (await _ask(ehr, token, "POST", "/users/zoë/unlock")).json()["active"] is True
    assert (await _ask(ehr, token, "PATCH", "/users/zoë", {"roles": ["clerk"]})).json()["roles"] == ["clerk"]
    assert (await _ask(ehr, token, "DELETE", "/users/zoë")).status_code == 204
    assert (await _ask(ehr, token, "GET", "/users/zoë")).status_code == 404
    last = await _ask(ehr, token, "DELETE", "/users/boss")
    assert last.status_code == 409 and "last administrator" in last.text


async def test_a_client_that_is_removed_takes_its_grants_with_it(ehr: Ehr) -> None:
    token = (await ehr.granted("user/*.rs offline_access"))["refresh_token"]
    assert (await _ask(ehr, await _admin(ehr), "DELETE", "/clients/public-app")).status_code == 204
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": "public-app"}
    assert (await ehr.token(form)).status_code in (400, 401)
    assert (await _ask(ehr, await _admin(ehr), "GET", "/clients/secret-app")).json()["secrets"] == 1


async def test_a_client_is_changed_where_it_is_named_and_nowhere_else(ehr: Ehr) -> None:
    admin = await _admin(ehr)
    before = (await _ask(ehr, admin, "GET", "/clients/public-app")).json()
    token = await ehr.bearer("user/*.rs", user=ehr.doctor)
    assert (await ehr.fhir("Patient", token)).status_code == 200
    change = {"name": "Curves", "scopes": "user/Observation.rs", "state_codes": ["https://app.example|keys"]}
    changed = await _ask(ehr, admin, "PATCH", "/clients/public-app", change)
    assert changed.status_code == 200
    assert changed.json() == before | change | {"origins": ["https://app.example"]}
    for wrong, status in (
        ({"scopes": "everything"}, 400), ({"redirect_uris": ["javascript:alert(1)"]}, 400), ({"nothing": 1}, 400),
        ({"kind": "asymmetric"}, 400), ({"redirect_uris": []}, 400),
    ):  # fmt: skip
        refused = await _ask(ehr, admin, "PATCH", "/clients/public-app", wrong)
        assert refused.status_code == status, (wrong, refused.text)
    assert (await _ask(ehr, admin, "GET", "/clients/public-app")).json() == before | change | {
        "origins": ["https://app.example"]
    }
    assert (await _ask(ehr, admin, "PATCH", "/clients/nobody", change)).status_code == 404
    assert (await _ask(ehr, token, "PATCH", "/clients/public-app", change)).status_code == 403
    asked = await ehr.granted("user/*.cruds")
    assert "user/Observation.rs" in asked["scope"]
    assert "user/*.cruds" not in asked["scope"]
    assert (await _ask(ehr, admin, "PATCH", "/clients/public-app", {"active": False})).status_code == 200
    assert (await ehr.asked("user/*.rs")).status_code in (400, 401, 403)
