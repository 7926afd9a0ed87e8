"""Alerts reach their targets at least once, say nothing of patients, and wait for a target that is not there."""

import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from fhir_audit.breaches.delivery import Undelivered

from tests.plugins.fhir_audit.conftest import Watched, watched
from tests.plugins.fhir_audit.test_sinks import certificate, listening


class Hook:
    """A webhook: what it was sent, and with which status it answers."""

    def __init__(self) -> None:
        self.status = 204
        self.got: list[tuple[dict[str, str], bytes]] = []


@contextmanager
def serving(hook: Hook) -> Iterator[str]:
    """Serve a webhook on a socket; give its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            hook.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(hook.status)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Stay quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/alerts"
        finally:
            server.shutdown()
            thread.join()


async def breach(server: Watched) -> None:
    """Let the doctor open the record of a person to be watched."""
    await server.ehr.fhir("Patient/ann", await server.token())


async def test_a_webhook_gets_a_signed_alert_once(tmp_path: Path) -> None:
    hook = Hook()
    with serving(hook) as url:
        async with watched(tmp_path, vip_patients=["ann"], targets=[url], target_secret="key") as server:
            await breach(server)
            await server.run()
            await server.run()
    ((headers, body),) = hook.got
    alert = json.loads(body)
    assert (alert["rule"], alert["severity"], alert["tenant"]) == ("vip", "high", "default")
    assert alert["subject"] == "Practitioner/doc"
    assert headers["x-signature"] == "sha256=" + hmac.new(b"key", body, sha256).hexdigest()
    assert headers["idempotency-key"] == alert["id"]
    assert b"ann" not in body.replace(b"Practitioner", b"")


async def test_a_target_that_fails_gets_it_later_and_holds_up_no_other(tmp_path: Path) -> None:
    hook = Hook()
    lines = tmp_path / "alerts.jsonl"
    with serving(hook) as url:
        hook.status = 503
        targets = [url, f"file:{lines}"]
        async with watched(tmp_path / "data", vip_patients=["ann"], targets=targets) as server:
            await breach(server)
            with pytest.raises(Undelivered, match="503"):
                await server.run()
            written = lines.read_text().splitlines()
            assert written
            hook.status, hook.got = 204, []
            await server.run()
            await server.run()
            assert [json.loads(body) for _, body in hook.got] == [json.loads(line) for line in written]
            assert lines.read_text().splitlines() == written


async def test_a_siem_gets_it_as_syslog_over_tls(tmp_path: Path) -> None:
    paths, got = certificate(tmp_path), list[bytes]()
    port, thread = listening(paths, got)
    targets = [f"tls://127.0.0.1:{port}"]
    async with watched(tmp_path / "data", login_failures=1, targets=targets, target_ca=str(paths[0])) as server:
        location = (await server.ehr.asked("launch/patient patient/*.rs")).headers["location"]
        form = {"name": "secret typed as name", "password": "x", "request": location.rpartition("=")[2]}
        await server.ehr.http.post("/auth/sign-in", data=form)
        with pytest.raises(Undelivered):  # it takes one connection, and there are two alerts
            await server.run()
    thread.join(5)
    size, _, text = b"".join(got).partition(b" ")
    assert int(size) == len(text)
    head, _, body = text.decode().partition("\ufeff")
    assert head.startswith("<105>1 20")
    assert "fhir-server - failed-sign-ins [audit@32473 id=" in head
    assert json.loads(body)["rule"] == "failed-sign-ins"
    assert "secret" not in head + body
