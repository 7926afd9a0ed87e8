"""The answer of the token endpoint to apps, and what their tokens are good for."""

import json
import re
from base64 import urlsafe_b64decode
from dataclasses import replace

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from fhir_server.auth import keys
from fhir_server.auth.clients import Client, save_client
from fhir_server.auth.records import SESSIONS, TOKENS
from fhir_server.auth.secrets import digest
from fhir_server.auth.tokens import find_token
from fhir_server.storage.base import RecordChange
from tests.conformance.smart.conftest import PUBLIC, REDIRECT, SECRET, SIGNING, SYMMETRIC, Ehr
from tests.conformance.smart.requirements import requirement
from tests.conformance.smart.signing import assertion

ASSERTED = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@requirement("73", "74", "75", "76", "78", "84", "86", "87", "88", "91", "80", "81", "83", "168", "169")
async def test_the_answer_is_json_that_nobody_keeps(ehr: Ehr) -> None:
    told = await ehr.walked(
        await ehr.asked("launch/patient patient/*.rs openid fhirUser offline_access"), find="Able", patient="ann"
    )
    answer = await ehr.redeemed(told["code"])
    assert answer.headers["content-type"] == "application/json"
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    body = answer.json()
    assert body.keys() == {
        "access_token", "token_type", "expires_in", "scope", "refresh_token", "id_token", "patient",
        "need_patient_banner",
    }  # fmt: skip
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 3600)
    assert set(body["scope"].split()) == {"launch/patient", "patient/*.rs", "openid", "fhirUser", "offline_access"}


@requirement("73", "251")
@pytest.mark.parametrize(
    ("form", "error", "status"),
    [
        ({"grant_type": "authorization_code"}, "invalid_client", 401),
        ({"client_id": "nobody", "grant_type": "authorization_code"}, "invalid_client", 401),
        ({"client_id": PUBLIC.id}, "unsupported_grant_type", 400),
        ({"client_id": PUBLIC.id, "grant_type": "password"}, "unsupported_grant_type", 400),
        ({"client_id": PUBLIC.id, "grant_type": "implicit"}, "unsupported_grant_type", 400),
        ({"client_id": PUBLIC.id, "grant_type": "authorization_code", "code": "guess"}, "invalid_grant", 400),
        ({"client_id": PUBLIC.id, "grant_type": "authorization_code"}, "invalid_grant", 400),
        ({"client_id": PUBLIC.id, "grant_type": "refresh_token", "refresh_token": "guess"}, "invalid_grant", 400),
        ({"client_id": PUBLIC.id, "grant_type": "client_credentials", "scope": "x"}, "unauthorized_client", 400),
        ({"client_id": SYMMETRIC.id, "grant_type": "authorization_code"}, "invalid_client", 401),
    ],
)
async def test_a_refusal_says_why_as_oauth_does(ehr: Ehr, form: dict[str, str], error: str, status: int) -> None:
    answer = await ehr.token(form)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["error_description"]
    assert answer.headers["cache-control"] == "no-store"
    assert ("www-authenticate" in answer.headers) == (status == 401)


@requirement("85", "134")
async def test_a_token_is_short_and_fits_a_header(ehr: Ehr) -> None:
    token = await ehr.bearer("user/*.cruds " * 200, user=ehr.doctor)
    assert re.fullmatch(r"[A-Za-z0-9._~+/\-]+=*", token)
    assert len(token) < 100


@requirement("77", "94", "265")
async def test_a_token_that_has_expired_is_refused(ehr: Ehr) -> None:
    token = await ehr.bearer("user/*.rs", user=ehr.doctor, expires=ehr.desk.now() + 300)
    assert (await ehr.fhir("Patient/ann", token)).status_code == 200
    record = await ehr.desk.get(TOKENS.name, digest(token))
    assert record is not None
    over = {**record.value, "expires": ehr.desk.now() - 1}
    await ehr.desk.put(RecordChange(TOKENS.name, record.key, over))
    late = replace(ehr.desk, now=lambda: ehr.desk.now() + 2_000)
    assert await find_token(late, token) is None
    unseen = await ehr.bearer("user/*.rs", user=ehr.doctor, expires=ehr.desk.now() - 1)
    answer = await ehr.fhir("Patient/ann", unseen)
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@requirement("95", "266", "243")
async def test_a_token_reaches_what_its_scopes_cover(ehr: Ehr) -> None:
    token = await ehr.bearer("user/Patient.r", user=ehr.doctor)
    statuses = {url: (await ehr.fhir(url, token)).status_code for url in ("Patient/ann", "Patient", "Observation")}
    assert statuses == {"Patient/ann": 200, "Patient": 403, "Observation": 403}


@requirement("244")
async def test_what_is_not_offered_at_all_is_an_error(ehr: Ehr) -> None:
    token = await ehr.bearer("user/*.cruds", user=ehr.doctor)
    assert (await ehr.fhir("Nothing", token)).status_code == 404


@requirement("79", "114", "115", "109", "110", "111", "112", "113", "116", "118", "101", "365")
async def test_refreshing_gives_what_the_launch_gave(ehr: Ehr) -> None:
    first = await ehr.granted("launch/patient patient/*.rs system/*.rs offline_access", find="Able", patient="ann")
    assert "system" not in first["scope"]
    answer = await ehr.refreshed(first["refresh_token"])
    second = answer.json()
    assert (second["token_type"], second["expires_in"], second["scope"]) == ("Bearer", 3600, first["scope"])
    assert (second["patient"], second["access_token"] != first["access_token"]) == ("ann", True)
    assert second["refresh_token"] != first["refresh_token"]
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    assert (await ehr.fhir("Patient/ann", second["access_token"])).status_code == 200


async def test_a_public_app_may_refresh_without_saying_who_it_is(ehr: Ehr) -> None:
    """SMART does not list client_id among the parameters, and its own JavaScript client leaves it out."""
    first = await ehr.granted("user/*.rs offline_access")
    answer = await ehr.token({"grant_type": "refresh_token", "refresh_token": first["refresh_token"]})
    assert (answer.status_code, answer.json()["scope"]) == (200, first["scope"])
    told = await ehr.walked(await ehr.asked("user/*.rs offline_access", SYMMETRIC))
    secret = (await ehr.redeemed(told["code"], SYMMETRIC, client_secret=SECRET)).json()
    refused = await ehr.token({"grant_type": "refresh_token", "refresh_token": secret["refresh_token"]})
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client"), "others have to prove it"
    assert (await ehr.token({"grant_type": "refresh_token", "refresh_token": "guess"})).status_code == 401


@requirement("104", "103")
async def test_a_refresh_token_serves_its_client_and_its_scopes_alone(ehr: Ehr) -> None:
    first = await ehr.granted("user/Patient.rs user/Observation.rs offline_access")
    other = Client("other-app", "Other", redirect_uris=(REDIRECT,), scopes="user/*.cruds")
    await save_client(ehr.desk, other)
    stolen = await ehr.refreshed(first["refresh_token"], other)
    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")
    wider = await ehr.refreshed(first["refresh_token"], scope="user/*.cruds user/Condition.rs")
    assert set(wider.json()["scope"].split()) <= {"user/Patient.rs", "user/Observation.rs"}
    narrow = (await ehr.refreshed(wider.json()["refresh_token"], scope="user/Patient.rs")).json()
    assert narrow["scope"] == "user/Patient.rs"
    assert (await ehr.fhir("Observation", narrow["access_token"])).status_code == 403
    again = (await ehr.refreshed(narrow["refresh_token"])).json()
    assert set(again["scope"].split()) == set(first["scope"].split()), "narrowing was for one token"
    refused = await ehr.refreshed(again["refresh_token"], scope="user/Condition.rs")
    assert refused.json()["error"] == "invalid_scope"


@requirement("100", "366")
async def test_online_access_ends_when_the_user_signs_out(ehr: Ehr) -> None:
    first = await ehr.granted("user/*.rs online_access")
    second = (await ehr.refreshed(first["refresh_token"])).json()
    assert second["scope"] == first["scope"]
    page = await ehr.http.get("/auth/manage")
    form = re.search(r'name="form" value="([^"]*)"', page.text)
    assert form
    assert (await ehr.http.post("/auth/sign-out", data={"form": form[1]})).status_code == 200
    assert (await ehr.refreshed(second["refresh_token"])).json()["error"] == "invalid_grant"


async def test_online_access_ends_with_the_session(ehr: Ehr) -> None:
    first = await ehr.granted("user/*.rs online_access")
    cookie = ehr.http.cookies["fhir-session"]
    record = await ehr.desk.get(SESSIONS.name, digest(cookie))
    assert record is not None
    await ehr.desk.put(RecordChange(SESSIONS.name, record.key, {**record.value, "expires": ehr.desk.now() - 1}))
    assert (await ehr.refreshed(first["refresh_token"])).json()["error"] == "invalid_grant"


@requirement("101")
async def test_offline_access_outlives_the_session(ehr: Ehr) -> None:
    first = await ehr.granted("user/*.rs offline_access online_access")
    cookie = ehr.http.cookies["fhir-session"]
    await ehr.desk.put(RecordChange(SESSIONS.name, digest(cookie), None))
    assert (await ehr.refreshed(first["refresh_token"])).status_code == 200


@requirement("89", "102")
async def test_a_client_that_is_not_registered_for_refreshing_gets_no_refresh_token(ehr: Ehr) -> None:
    assert "refresh_token" not in await ehr.granted("user/*.rs")
    short = Client("short-app", "Short", redirect_uris=(REDIRECT,), scopes="user/*.rs offline_access",
                   grant_types=("authorization_code",))  # fmt: skip
    await save_client(ehr.desk, short)
    told = await ehr.walked(await ehr.asked("user/*.rs offline_access", short))
    body = (await ehr.redeemed(told["code"], short)).json()
    assert ("refresh_token" in body, body["scope"]) == (False, "user/*.rs")


async def test_an_old_refresh_token_ends_all_that_came_of_it(ehr: Ehr) -> None:
    first = await ehr.granted("user/*.rs offline_access")
    second = (await ehr.refreshed(first["refresh_token"])).json()
    record = await ehr.desk.get(TOKENS.name, digest(first["refresh_token"]))
    assert record is not None
    long_ago = {**record.value, "used": ehr.desk.now() - 61_000}
    await ehr.desk.put(RecordChange(TOKENS.name, record.key, long_ago))
    assert (await ehr.refreshed(first["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await ehr.refreshed(second["refresh_token"])).json()["error"] == "invalid_grant"


@requirement("356")
async def test_a_confidential_app_proves_itself_by_a_secret(ehr: Ehr) -> None:
    async def code() -> str:
        return (await ehr.walked(await ehr.asked("user/*.rs", SYMMETRIC)))["code"]

    form = {"grant_type": "authorization_code", "redirect_uri": REDIRECT, "code_verifier": "v" * 64}
    by_form = await ehr.token(form | {"code": await code(), "client_id": SYMMETRIC.id, "client_secret": SECRET})
    assert by_form.status_code == 200
    kept = await ehr.http.post("/auth/token", data=form | {"code": await code()}, auth=(SYMMETRIC.id, SECRET))
    assert kept.status_code == 200
    for secret in ("", "wrong", SECRET + " "):
        refused = await ehr.http.post("/auth/token", data=form | {"code": await code()}, auth=(SYMMETRIC.id, secret))
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    both = {"client_id": SYMMETRIC.id, "client_secret": SECRET}
    twice = await ehr.http.post("/auth/token", data=form | both, auth=(SYMMETRIC.id, SECRET))
    assert twice.json()["error"] == "invalid_request"


@requirement("357")
@pytest.mark.parametrize("good", [True, False])
async def test_an_app_proves_itself_by_a_signature(ehr: Ehr, good: bool) -> None:
    told = await ehr.walked(await ehr.asked("user/*.rs", SIGNING))
    more = {"client_assertion": assertion(SIGNING.id), "client_assertion_type": ASSERTED} if good else {}
    answer = await ehr.redeemed(told["code"], SIGNING, **more)
    assert answer.status_code == (200 if good else 401)


@requirement("200", "203", "207", "209", "210", "358", "198", "80")
async def test_an_id_token_says_who_the_user_is(ehr: Ehr) -> None:
    told = await ehr.walked(await ehr.asked("openid fhirUser user/Practitioner.rs", nonce="n1"))
    body = (await ehr.redeemed(told["code"])).json()
    configuration = await ehr.configuration()
    published = (await ehr.http.get(configuration["jwks_uri"])).json()
    assert all(key["kty"] == "RSA" and {"n", "e", "kid"} <= key.keys() and "d" not in key for key in published["keys"])
    token = jwt.decode(body["id_token"], KeySet.import_key_set(published), algorithms=["RS256"])
    claims = token.claims
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (configuration["issuer"], PUBLIC.id, "n1")
    assert claims["sub"] == ehr.doctor.id and claims["iat"] <= claims["exp"] <= claims["iat"] + 3600
    assert claims["auth_time"] <= claims["iat"]
    assert claims["fhirUser"] == f"{configuration['issuer']}/Practitioner/doc"
    url = claims["fhirUser"].removeprefix("http://ehr.example/fhir/")
    assert (await ehr.fhir(url, body["access_token"])).json()["resourceType"] == "Practitioner"
    assert token.header["kid"] in [key["kid"] for key in published["keys"]]


@requirement("197")
async def test_who_is_nobody_in_the_record_is_no_fhir_user(ehr: Ehr) -> None:
    body = await ehr.granted("openid fhirUser profile user/Patient.rs", "clerk")
    assert set(body["scope"].split()) == {"openid", "user/Patient.rs"}
    payload = body["id_token"].split(".")[1]
    claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert "fhirUser" not in claims and claims["sub"]


async def test_a_key_that_was_replaced_is_published_as_long_as_it_is_needed(ehr: Ehr) -> None:
    before = await ehr.granted("openid")
    old = {key["kid"] for key in (await keys.published(ehr.desk))["keys"]}
    fresh = await keys.rotate(ehr.desk)
    after = await ehr.granted("openid")
    told = (await ehr.http.get("/auth/jwks")).json()
    assert {key["kid"] for key in told["keys"]} == old | {fresh}
    for body in (before, after):
        jwt.decode(body["id_token"], KeySet.import_key_set(told), algorithms=["RS256"])
    assert jwt.decode(after["id_token"], KeySet.import_key_set(told), algorithms=["RS256"]).header["kid"] == fresh
    later = replace(ehr.desk, now=lambda: ehr.desk.now() + (ehr.desk.settings.key_life + 60) * 1000)
    await keys.rotate(later)
    assert fresh in {key["kid"] for key in (await keys.published(ehr.desk))["keys"]}
    assert not old & {key["kid"] for key in (await keys.published(ehr.desk))["keys"]}
