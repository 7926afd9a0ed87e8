"""Backend services, and what their assertions have to be."""

import time
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from joserfc.jwk import ECKey, RSAKey

from fhir_server.auth.clients import Client, find_client, save_client
from fhir_server.auth.registration import read_metadata
from tests.conformance.smart.conftest import BASE, SERVICE, SIGNING, SYMMETRIC, Ehr
from tests.conformance.smart.requirements import requirement
from tests.conformance.smart.signing import EC, OTHER, RSA, assertion, public_keys

NOW = int(time.time())
DEEP = urlsafe_b64encode(b"[" * 1500).decode().rstrip("=")


@requirement("253", "254", "255", "256", "257", "258", "261", "262", "248", "310", "335")
@pytest.mark.parametrize(("key", "alg"), [(EC, "ES384"), (RSA, "RS384")])
async def test_a_service_that_signs_gets_a_short_token(ehr: Ehr, key: RSAKey | ECKey, alg: str) -> None:
    answer = await ehr.served("system/Patient.rs", key=key, alg=alg)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 300, "system/Patient.rs")
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    assert (await ehr.fhir("Patient/ann", body["access_token"])).status_code == 200


@requirement("240", "241", "250", "259", "260")
async def test_scopes_are_those_that_were_asked_for_and_registered(ehr: Ehr) -> None:
    body = (await ehr.served("system/Observation.cruds system/Patient.cud user/*.rs offline_access")).json()
    assert set(body["scope"].split()) == {"system/Observation.rs", "system/Observation.cud"}
    assert "refresh_token" not in body
    assert (await ehr.fhir("Patient/ann", body["access_token"])).status_code == 403
    for scope in ("system/Patient.cud", "user/*.rs", "nonsense", ""):
        refused = await ehr.served(scope)
        assert (scope, refused.status_code, refused.json()["error"]) == (scope, 400, "invalid_scope")


@requirement("249", "251", "252", "335", "340")
@pytest.mark.parametrize(
    "changes",
    [
        {"key": OTHER}, {"iss": "other"}, {"sub": "other"}, {"iss": None}, {"aud": "http://else.example/token"},
        {"aud": None}, {"aud": [f"{BASE[:-5]}/auth/token", "http://else.example/token"]}, {"aud": "token"},
        {"exp": None}, {"exp": NOW - 60}, {"exp": NOW + 3600}, {"exp": "soon"}, {"exp": True}, {"jti": None},
        {"jti": ""}, {"jti": "x" * 9999}, {"iat": NOW + 3600}, {"nbf": NOW + 3600},
        {"header": {"kid": None}}, {"header": {"kid": "none"}}, {"header": {"kid": "rsa"}},
        {"header": {"typ": "at+jwt"}},
        {"header": {"jku": "https://evil.example/jwks"}},
        {"key": RSA, "alg": "RS256"},
    ],
)  # fmt: skip
async def test_an_assertion_that_is_wrong_proves_nothing(ehr: Ehr, changes: dict[str, Any]) -> None:
    answer = await ehr.served("system/Patient.rs", **changes)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.json()["error_description"]


@requirement("335")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "a.b.c",
        "e30.e30.",
        "eyJhbGciOiJub25lIn0.e30.",
        "é.é.é",
        "." * 9000,
        DEEP,
        f"{DEEP}.{DEEP}.{DEEP}",
        f"e30.{DEEP}.",
    ],
)
async def test_what_is_no_jwt_proves_nothing(ehr: Ehr, text: str) -> None:
    form = {
        "grant_type": "client_credentials", "scope": "system/*.rs", "client_assertion": text,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }  # fmt: skip
    assert (await ehr.token(form)).json()["error"] == "invalid_client"
    signed = form | {"client_assertion": assertion(SERVICE.id), "client_assertion_type": "urn:other"}
    refused = await ehr.token(signed)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client")


@requirement("336")
async def test_an_assertion_is_good_once(ehr: Ehr) -> None:
    assert (await ehr.served("system/Patient.rs", jti="once")).status_code == 200
    again = await ehr.served("system/Patient.rs", jti="once", exp=NOW + 250)
    assert (again.status_code, again.json()["error"]) == (401, "invalid_client")
    other = await ehr.served("system/Patient.rs", SIGNING, jti="once")
    assert other.json()["error"] == "unauthorized_client", "of another issuer it is another one"


@requirement("337")
async def test_the_client_is_known_and_is_the_issuer(ehr: Ehr) -> None:
    nobody = Client("nobody-service", "x", "asymmetric", grant_types=("client_credentials",))
    assert (await ehr.served("system/*.rs", nobody)).json()["error"] == "invalid_client"
    form = {
        "grant_type": "client_credentials", "scope": "system/*.rs", "client_assertion": assertion(SERVICE.id),
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_id": SIGNING.id,
    }  # fmt: skip
    assert (await ehr.token(form)).json()["error"] == "invalid_client"


@requirement("338")
async def test_one_key_and_one_only_fits(ehr: Ehr) -> None:
    """By name and kind; two of a name are as bad as none."""
    twins = {"keys": [*public_keys(EC)["keys"], *public_keys(OTHER)["keys"]]}
    doubled = Client("twins", "x", "asymmetric", scopes="system/*.rs", grant_types=("client_credentials",), jwks=twins)
    await save_client(ehr.desk, doubled)
    assert (await ehr.served("system/*.rs", doubled)).json()["error"] == "invalid_client"
    mixed = public_keys(RSAKey.import_key(RSA.as_dict(private=True) | {"kid": "ec"}), EC)
    same_name = Client(
        "mixed", "x", "asymmetric", scopes="system/*.rs", grant_types=("client_credentials",), jwks=mixed
    )
    await save_client(ehr.desk, same_name)
    assert (await ehr.served("system/*.rs", same_name)).status_code == 200


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
async def test_a_weak_key_or_a_wrong_curve_proves_nothing(ehr: Ehr) -> None:
    weak = RSAKey.generate_key(1024, {"kid": "weak"}, auto_kid=False)
    curve = ECKey.generate_key("P-256", {"kid": "curve"})
    client = Client("weak", "x", "asymmetric", scopes="system/*.rs", grant_types=("client_credentials",),
                    jwks=public_keys(weak, curve))  # fmt: skip
    await save_client(ehr.desk, client)
    assert (await ehr.served("system/*.rs", client, key=weak, alg="RS384")).json()["error"] == "invalid_client"
    by_curve = await ehr.served("system/*.rs", client, key=weak, alg="RS384", header={"kid": "curve", "alg": "RS384"})
    assert by_curve.json()["error"] == "invalid_client"


@requirement("344")
async def test_a_secret_is_not_enough_for_a_service(ehr: Ehr) -> None:
    by_secret = Client("secret-service", "x", "symmetric", scopes="system/*.rs", grant_types=("client_credentials",),
                       secrets=SYMMETRIC.secrets)  # fmt: skip
    await save_client(ehr.desk, by_secret)
    form = {"grant_type": "client_credentials", "scope": "system/*.rs"}
    answer = await ehr.http.post("/auth/token", data=form, auth=(by_secret.id, "a secret of the confidential app"))
    assert answer.json()["error"] == "unauthorized_client"


@requirement("297", "305", "316", "306")
async def test_keys_are_registered_as_they_are(ehr: Ehr) -> None:
    asked = {
        "client_name": "New", "token_endpoint_auth_method": "private_key_jwt", "grant_types": ["client_credentials"],
        "jwks": public_keys(RSA, EC), "scope": "system/Patient.rs",
    }  # fmt: skip
    client = read_metadata(asked)
    await save_client(ehr.desk, client)
    kept = await find_client(ehr.desk, client.id)
    assert kept is not None and kept.jwks == asked["jwks"]
    assert (await ehr.served("system/Patient.rs", client)).status_code == 200
    stranger = await ehr.http.put(f"/auth/register/{client.id}", json={"jwks": public_keys(OTHER)})
    assert stranger.status_code in (404, 405), "nobody but an administrator changes them"
