"""What a token is good for, asked by those who may."""

import httpx
import pytest

from fhir_server.auth.clients import save_client
from tests.conformance.smart.conftest import BASE, PUBLIC, SECRET, SERVICE, SYMMETRIC, Ehr
from tests.conformance.smart.requirements import requirement


async def introspected(ehr: Ehr, token: str, bearer: str = "", **more: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
    return await ehr.http.post("/auth/introspect", data={"token": token} | more, headers=headers)


@requirement("269", "271", "272", "273", "274", "275", "276", "277", "278", "279", "280")
async def test_a_resource_server_learns_what_the_app_was_told(ehr: Ehr) -> None:
    scope = "launch openid fhirUser patient/*.rs launch/encounter"
    body = await ehr.launched({"patient": "ann", "encounter": "visit", "intent": "x"}, scope)
    asking = await ehr.bearer("__introspect", SERVICE)
    answer = await introspected(ehr, body["access_token"], asking)
    told = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert (told["active"], told["scope"], told["client_id"]) == (True, body["scope"], PUBLIC.id)
    assert isinstance(told["exp"], int) and abs(told["exp"] - told["iat"] - body["expires_in"]) <= 1
    context = ("patient", "encounter", "intent", "smart_style_url")
    assert {name: told[name] for name in context} == {name: body[name] for name in context}
    assert (told["iss"], told["sub"], told["fhirUser"]) == (BASE, ehr.doctor.id, f"{BASE}/Practitioner/doc")
    assert (told["token_type"], told["aud"]) == ("Bearer", BASE)


@requirement("281", "282", "283")
async def test_the_bearer_of_the_scope_may_ask_for_tokens_of_all_clients(ehr: Ehr) -> None:
    one, other = await ehr.bearer("user/*.rs", PUBLIC, ehr.doctor), await ehr.bearer("system/*.rs", SERVICE)
    for asking in (
        await ehr.bearer("__introspect", SERVICE), await ehr.bearer("__introspect user/Patient.r", PUBLIC, ehr.doctor)
    ):  # fmt: skip
        assert [(await introspected(ehr, token, asking)).json()["active"] for token in (one, other)] == [True, True]


async def test_others_may_ask_for_their_own(ehr: Ehr) -> None:
    own, other = await ehr.bearer("user/*.rs", PUBLIC, ehr.doctor), await ehr.bearer("system/*.rs", SERVICE)
    answers = [(await introspected(ehr, token, own)).json() for token in (own, other)]
    assert (answers[0]["active"], answers[1]) == (True, {"active": False})
    credentials = {"client_id": SYMMETRIC.id, "client_secret": SECRET}
    assert (await introspected(ehr, own, **credentials)).json() == {"active": False}
    mine = await ehr.bearer("user/*.rs", SYMMETRIC, ehr.doctor)
    assert (await introspected(ehr, mine, **credentials)).json()["active"] is True


@requirement("281")
async def test_nobody_asks_without_being_somebody(ehr: Ehr) -> None:
    token = await ehr.bearer("user/*.rs", PUBLIC, ehr.doctor)
    for answer in (
        await introspected(ehr, token), await introspected(ehr, token, "guess"),
        await introspected(ehr, token, client_id=PUBLIC.id),
        await introspected(ehr, token, client_id=SYMMETRIC.id, client_secret="wrong"),
    ):  # fmt: skip
        assert answer.status_code == 401 and "active" not in answer.text


@requirement("272")
@pytest.mark.parametrize("token", ["guess", "x" * 9000, "é", "null"])
async def test_what_is_not_good_is_not_active_and_that_is_all(ehr: Ehr, token: str) -> None:
    asking = await ehr.bearer("__introspect", SERVICE)
    assert (await introspected(ehr, token, asking)).json() == {"active": False}
    assert (await introspected(ehr, "", asking)).json()["error"] == "invalid_request"


async def test_a_token_that_was_revoked_is_not_active(ehr: Ehr) -> None:
    first = await ehr.granted("user/*.rs offline_access")
    asking = await ehr.bearer("__introspect", SERVICE)
    for token in (first["access_token"], first["refresh_token"]):
        assert (await introspected(ehr, token, asking)).json()["active"] is True
    other = {"client_id": SYMMETRIC.id, "client_secret": SECRET, "token": first["refresh_token"]}
    assert (await ehr.http.post("/auth/revoke", data=other)).status_code == 200, "says nothing to a stranger"
    assert (await introspected(ehr, first["refresh_token"], asking)).json()["active"] is True
    revoked = await ehr.http.post("/auth/revoke", data={"client_id": PUBLIC.id, "token": first["refresh_token"]})
    assert revoked.status_code == 200
    for token in (first["access_token"], first["refresh_token"]):
        assert (await introspected(ehr, token, asking)).json() == {"active": False}


async def test_a_refresh_token_opens_no_data(ehr: Ehr) -> None:
    first = await ehr.granted("user/*.rs offline_access")
    assert (await ehr.fhir("Patient/ann", first["refresh_token"])).status_code == 401
    assert (await introspected(ehr, first["access_token"], first["refresh_token"])).status_code == 401
    await save_client(ehr.desk, PUBLIC)
