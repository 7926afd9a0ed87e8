"""Registration of apps by themselves, where the setting lets them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from fhir_server.auth.clients import find_client
from tests.conformance.smart.conftest import PUBLIC, Ehr, started
from tests.conformance.smart.requirements import requirement
from tests.conformance.smart.signing import EC, RSA, public_keys

ASKED: dict[str, Any] = {
    "client_name": "New app", "redirect_uris": ["https://new.example/cb"], "token_endpoint_auth_method": "none",
    "scope": "launch/patient patient/*.rs openid", "grant_types": ["authorization_code", "refresh_token"],
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def open_ehr(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ehr]:
    async with started(tmp_path_factory.mktemp("open"), client_registration=True) as ehr:
        yield ehr


@requirement("19", "24", "316", "18", "297", "296")
@pytest.mark.parametrize(
    "more",
    [
        {}, {"redirect_uris": ["http://localhost:3000/cb", "com.example.app:/cb", "http://[::1]/x"]},
        {"token_endpoint_auth_method": "client_secret_basic"},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": public_keys(EC, RSA)},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://new.example/jwks"},
    ],
)  # fmt: skip
async def test_an_app_registers_and_gets_a_name(open_ehr: Ehr, more: dict[str, Any]) -> None:
    answer = await open_ehr.http.post("/auth/register", json=ASKED | more)
    body = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    client = await find_client(open_ehr.desk, body["client_id"])
    assert client is not None and client.redirect_uris == tuple(body["redirect_uris"])
    assert client.jwks == more.get("jwks") and not client.trusted
    assert ("client_secret" in body) == (client.kind == "symmetric")
    assert body.get("client_secret", "none") not in str(client), "of a secret its digest is kept alone"


@pytest.mark.parametrize(
    "more",
    [
        {"redirect_uris": []}, {"redirect_uris": ["http://new.example/cb"]}, {"redirect_uris": ["javascript:alert(1)"]},
        {"redirect_uris": ["data:text/html,x"]}, {"redirect_uris": ["https://new.example/#x"]},
        {"redirect_uris": ["https://new.example/cb\r\nx: y"]}, {"redirect_uris": ["https://a@new.example/"]},
        {"redirect_uris": ["//new.example/"]}, {"redirect_uris": ["https://"]}, {"redirect_uris": ["app:/cb"]},
        {"redirect_uris": ["blob:https://x"]}, {"redirect_uris": "https://new.example/cb"}, {"redirect_uris": [1]},
        {"redirect_uris": ["https://[bad/"]}, {"redirect_uris": ["intent://x#Intent"]},
        {"scope": "system/*.rs"}, {"scope": "__launch"}, {"scope": "__introspect"}, {"grant_types": ["password"]},
        {"scope": "openid __ai-models.manage"},
        {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_basic"},
        {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "private_key_jwt",
         "jwks": public_keys(EC)},
        {"token_endpoint_auth_method": "tls_client_auth"}, {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": public_keys(EC), "jwks_uri": "https://x.example"},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [EC.as_dict(private=True)]}},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []}},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [{"kty": "oct", "k": "x", "kid": "1"}]}},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "file:///etc/passwd"},
        {"logo_uri": "javascript:alert(1)"}, {"client_name": 1},
    ],
)  # fmt: skip
async def test_what_is_dangerous_or_not_sound_is_refused(open_ehr: Ehr, more: dict[str, Any]) -> None:
    answer = await open_ehr.http.post("/auth/register", json=ASKED | more)
    assert answer.status_code == 400
    assert answer.json()["error"] in ("invalid_redirect_uri", "invalid_client_metadata")


async def test_nobody_becomes_an_app_of_the_house(open_ehr: Ehr) -> None:
    asked = ASKED | {"trusted": True, "client_id": PUBLIC.id, "origins": ["https://evil.example"], "active": True}
    body = (await open_ehr.http.post("/auth/register", json=asked)).json()
    assert body["client_id"] != PUBLIC.id and "trusted" not in body
    client = await find_client(open_ehr.desk, body["client_id"])
    assert client is not None and (client.trusted, client.origins) == (False, ("https://new.example",))


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b'{"a":' * 5000, b" " * 200_000])
async def test_what_is_no_metadata_is_refused(open_ehr: Ehr, body: bytes) -> None:
    answer = await open_ehr.http.post("/auth/register", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 413)


async def test_registration_is_closed_without_the_setting(ehr: Ehr) -> None:
    assert (await ehr.http.post("/auth/register", json=ASKED)).status_code == 403
