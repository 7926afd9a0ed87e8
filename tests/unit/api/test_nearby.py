"""Without authorization: requests for this machine are answered, those that pages of elsewhere make are not."""

from typing import Any

import pytest

from fhir_server.api.decode import LINES
from fhir_server.api.nearby import is_here
from tests.unit.api.edge_client import Fake, application, client, raw

HERE: dict[str, Any] = {"path": "/fhir/Patient/p", "raw_path": b"/fhir/Patient/p", "server": ("127.0.0.1", 8080)}


async def asked(scope: dict[str, Any], host: bytes, origin: bytes = b"", **settings: Any) -> tuple[int, bytes]:
    """Ask with a Host, and as a page of an origin; return status and body."""
    headers = [(b"host", host), *([(b"origin", origin)] if origin else [])]
    status, _, body = await raw(Fake(), {**HERE, **scope, "headers": headers}, **settings)
    return status, body


@pytest.mark.parametrize("host", (b"localhost:8080", b"127.0.0.1:8080", b"[::1]:8080", b"127.0.0.2", b"app.localhost."))
async def test_a_request_for_this_machine_is_answered(host: bytes) -> None:
    assert (await asked({}, host))[0] == 200


async def test_a_name_that_was_made_to_lead_here_gets_nothing_and_is_told_of_the_setting() -> None:
    for path in ("/fhir/Patient/p", "/fhir", "/", "/docs", "/metrics", "/health/ready", "/t/other/fhir/Patient"):
        status, body = await asked({"path": path, "raw_path": path.encode()}, b"evil.example:8080")
        assert status == 421, path
        assert b"OperationOutcome" in body and b"allowed_hosts" in body and b"'evil.example:8080'" in body
    assert (await asked({}, b"localhost.evil.example"))[0] == 421


async def test_hosts_of_settings_are_ours() -> None:
    assert (await asked({}, b"DEV.example:8080", allowed_hosts=("dev.example",)))[0] == 200
    assert (await asked({}, b"ehr.example", base_url="https://ehr.example/fhir"))[0] == 200


@pytest.mark.parametrize("method", ("GET", "POST", "OPTIONS", "DELETE"))
async def test_pages_of_elsewhere_may_neither_read_nor_write(method: str) -> None:
    for origin in (b"https://evil.example", b"null", b"http://localhost.evil.example"):
        status, body = await asked({"method": method}, b"127.0.0.1:8080", origin)
        assert status == 403
        assert b"cors_origins" in body


async def test_pages_of_this_machine_and_those_of_the_setting_may_call() -> None:
    for origin in (b"http://localhost:3000", b"http://127.0.0.1:8080", b"http://[::1]:5173"):
        assert (await asked({}, b"localhost:8080", origin))[0] == 200
    assert (await asked({}, b"localhost:8080", b"https://app.example", cors_origins=("https://app.example",)))[0] == 200


async def test_a_websocket_of_a_page_of_elsewhere_is_not_opened() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {**HERE, "type": "websocket", "headers": [(b"host", b"localhost"), (b"origin", b"https://evil.example")]}
    await application(Fake())(scope, None, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_header_lines_are_looked_at_once_on_a_connection() -> None:
    found: dict[str, Any] = {}
    assert (await asked({LINES: found}, b"evil.example"))[0] == 421
    assert (await asked({LINES: {}}, b"localhost"))[0] == 200
    assert not any(found.values())


async def test_where_tokens_are_asked_for_or_others_than_this_machine_call_any_host_will_do() -> None:
    assert (await asked({}, b"ehr.example", auth="smart"))[0] == 200
    assert (await asked({"server": ("192.0.2.1", 80)}, b"ehr.example"))[0] == 200
    assert (await asked({"server": None}, b"ehr.example"))[0] == 200
    async with client(Fake()) as http:
        assert (await http.get("/fhir/Patient/p", headers={"origin": "https://app.example"})).status_code == 200


def test_only_names_that_lead_here_are_here() -> None:
    assert [name for name in ("localhost", "::1", "127.8.8.8", "a.localhost") if not is_here(name)] == []
    assert [name for name in ("", "evil.example", "10.0.0.1", "0.0.0.0", "127.0.0.1.nip.io") if is_here(name)] == []
