"""CDS clients prove who they are by a signed token; data come under the authority that they were given."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from fhir_server.model.json import encode
from tests.conformance.smart.conftest import BASE, ORIGIN, Ehr, filled, started
from tests.plugins.fhir_cds_hooks.conftest import INSTALLED, body

KEY = ECKey.generate_key("P-384", {"kid": "k1"})
OTHER = ECKey.generate_key("P-384", {"kid": "k1"})
ISSUER = "https://ehr.example"
URL = f"{ORIGIN}/cds-services/greeting"


class _Keys(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = encode({"keys": [KEY.as_dict(private=False)]})
        self.send_response(200)
        self.send_header("content-length", str(len(found)))
        self.end_headers()
        self.wfile.write(found)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def jwks() -> Iterator[str]:
    """The URL of the client's keys, on a real socket."""
    server = HTTPServer(("127.0.0.1", 0), _Keys)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/jwks.json"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
async def ehr(tmp_path: Path, jwks: str) -> AsyncIterator[Ehr]:
    plugins = {"fhir_cds_hooks": {"clients": {ISSUER: jwks}, "private_networks": True}}
    async with started(tmp_path, plugins=plugins, plugins_dir=INSTALLED) as ehr:
        await filled(ehr)
        yield ehr


def token(key: ECKey = KEY, header: dict[str, Any] | None = None, **claims: Any) -> str:
    now = int(time.time())
    told = {"iss": ISSUER, "aud": URL, "exp": now + 60, "iat": now, "jti": str(time.perf_counter_ns()), **claims}
    kept = {name: value for name, value in told.items() if value is not None}
    return jwt.encode({"alg": "ES384", "kid": "k1", "typ": "JWT", **(header or {})}, kept, key, algorithms=["ES384"])


async def call(ehr: Ehr, bearer: str, **more: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
    return await ehr.http.post("/cds-services/greeting", json=body(**more), headers=headers)


PREFETCH = {"patient": {"resourceType": "Patient", "name": [{"family": "Sent"}]}, "last": None}


async def test_a_client_that_is_known_may_call_once_with_each_token(ehr: Ehr) -> None:
    bearer = token()
    answer = await call(ehr, bearer, prefetch=PREFETCH)
    assert answer.json()["cards"][0]["summary"] == "Sent, 0 visits"
    again = await call(ehr, bearer, prefetch=PREFETCH)
    assert (again.status_code, "jti was used before" in again.text) == (401, True)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: "", "send a signed token"), (lambda: "abc", "no signed JWT"), (lambda: "a.b.c", "no signed JWT"),
        (lambda: "x" * 9_000, "send a signed"), (lambda: token(OTHER), "signature"),
        (lambda: token(iss="https://evil.example"), "issuer"), (lambda: token(iss=None), "issuer"),
        (lambda: token(aud=f"{ORIGIN}/cds-services/other"), "aud"), (lambda: token(aud=None), "aud"),
        (lambda: token(exp=int(time.time()) - 100), "expired"),
        (lambda: token(exp=int(time.time()) + 90_000), "at most 300"), (lambda: token(exp=None), "exp"),
        (lambda: token(iat=None), "iat"), (lambda: token(jti=None), "jti"), (lambda: token(jti=""), "jti"),
        (lambda: token(header={"kid": "k2"}), "no such key"),
        (lambda: token(header={"jku": "https://evil.example/keys"}), "jku"),
    ],
)  # fmt: skip
async def test_a_token_that_proves_nothing_is_refused_with_the_reason(
    ehr: Ehr, made: Callable[[], str], said: str
) -> None:
    answer = await call(ehr, made(), prefetch=PREFETCH)
    assert (answer.status_code, said in answer.text) == (401, True), answer.text
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_unsigned_and_shared_secret_tokens_are_refused(ehr: Ehr) -> None:
    from base64 import urlsafe_b64encode

    head, claims, _ = token().split(".")
    for algorithm in ("none", "HS256"):
        forged = urlsafe_b64encode(encode({"alg": algorithm, "kid": "k1"})).rstrip(b"=").decode()
        for signature in ("", "AAAA"):
            answer = await call(ehr, f"{forged}.{claims}.{signature}", prefetch=PREFETCH)
            assert answer.status_code == 401
    assert head


async def test_a_token_of_our_own_server_is_no_token_of_a_cds_client(ehr: Ehr) -> None:
    assert (await call(ehr, await ehr.bearer("user/*.rs", user=ehr.doctor), prefetch=PREFETCH)).status_code == 401


async def test_data_come_under_the_token_that_the_client_hands_on(ehr: Ehr) -> None:
    access = await ehr.bearer("patient/*.rs", user=ehr.doctor, patient="ann")
    grant = {"access_token": access, "token_type": "Bearer", "expires_in": 300, "scope": "patient/*.rs", "subject": "x"}
    answer = await call(ehr, token(), fhirServer=BASE, fhirAuthorization=grant)
    assert answer.json()["cards"][0]["summary"] == "Able, 0 visits"
    answer = await call(ehr, token(), patient="bob", fhirServer=BASE, fhirAuthorization=grant)
    assert "Baker" not in answer.text
    for wrong in ({"access_token": "nonsense"}, {}, {"access_token": 5}):
        answer = await call(ehr, token(), fhirServer=BASE, fhirAuthorization=wrong)
        assert answer.status_code == 412, answer.text


async def test_what_was_read_for_a_service_is_in_the_audit(ehr: Ehr) -> None:
    access = await ehr.bearer("patient/*.rs", user=ehr.doctor, patient="ann")
    await call(ehr, token(), fhirServer=BASE, fhirAuthorization={"access_token": access})
    from fhir_server.auth.users import new_user, save_user

    user = new_user("auditor", roles=("auditor",))
    await save_user(ehr.desk, user)
    auditor = await ehr.bearer("user/*.rs", user=user)
    await asyncio.sleep(0.3)  # reads are in the audit within 100 ms
    events = (await ehr.fhir("AuditEvent?patient=Patient/ann&_count=50", auditor)).json()["entry"]
    read = [each["resource"] for each in events if each["resource"]["action"] == "R"]
    assert any("Practitioner/doc" in str(each["agent"]) for each in read)


async def test_discovery_is_open_unless_the_setting_says_otherwise(ehr: Ehr, tmp_path: Path, jwks: str) -> None:
    assert (await ehr.http.get("/cds-services")).status_code == 200
    closed = {"fhir_cds_hooks": {"clients": {ISSUER: jwks}, "private_networks": True, "open_discovery": False}}
    async with started(tmp_path / "closed", plugins=closed, plugins_dir=INSTALLED) as other:
        assert (await other.http.get("/cds-services")).status_code == 401
        headers = {"authorization": f"Bearer {token(aud=f'{ORIGIN}/cds-services')}"}
        assert (await other.http.get("/cds-services", headers=headers)).status_code == 200


async def test_without_clients_in_the_settings_nobody_may_call(tmp_path: Path) -> None:
    async with started(tmp_path, plugins_dir=INSTALLED) as ehr:
        assert (await call(ehr, token(), prefetch=PREFETCH)).status_code == 401
