"""HTTPS on the public door, plain HTTP for local commands; limits over several workers."""

import socket
import ssl
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from fhir_server.serving.tls import with_certificate
from fhir_server.settings import Settings
from tests.integration.running import Running, command, free_port, running


def test_a_certificate_of_its_own_serves_tls_1_3_alone_and_local_commands_still_work(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--auth", "smart", "--tls-self-signed", "--workers", "2", scheme="https") as server:
        host, port = "127.0.0.1", int(server.base.split(":")[2].split("/")[0])
        cert = server.folder / "tls" / "cert.pem"
        assert (server.folder / "tls" / "key.pem").stat().st_mode & 0o077 == 0
        context = ssl.create_default_context(cafile=str(cert))
        with socket.create_connection((host, port)) as sock, context.wrap_socket(sock, server_hostname=host) as tls:
            assert tls.version() == "TLSv1.3"
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_connection((host, port)) as sock, pytest.raises(ssl.SSLError):
            context.wrap_socket(sock, server_hostname=host)
        answer = httpx.get(
            f"{server.base}/.well-known/smart-configuration", verify=ssl.create_default_context(cafile=str(cert))
        )
        assert answer.json()["token_endpoint"].startswith("https://")
        listed = subprocess.run(command("users", "list", "--data-dir", server.folder), capture_output=True, text=True)
        assert listed.stdout.startswith("admin"), listed.stderr
        assert (
            httpx.get(f"{server.base}/Patient", verify=ssl.create_default_context(cafile=str(cert))).status_code == 401
        )


def _serial(port: int) -> int:
    pem = ssl.get_server_certificate(("127.0.0.1", port))
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def test_a_renewed_certificate_is_taken_without_a_restart(tmp_path: Path) -> None:
    one, two = (with_certificate(Settings(data_dir=tmp_path / name, tls_self_signed=True)) for name in ("a", "b"))
    assert one.tls_cert and one.tls_key and two.tls_cert and two.tls_key
    flags = ("--tls-cert", one.tls_cert, "--tls-key", one.tls_key, "--workers", "2", "--tls-check", "1")
    with running(tmp_path / "data", *flags, scheme="https") as server:
        port = int(server.base.split(":")[2].split("/")[0])
        before = _serial(port)
        verify = ssl.create_default_context(cafile=str(one.tls_cert))
        with httpx.Client(verify=verify) as open_:
            assert (answer := open_.get(f"{server.base}/metadata")).status_code == 200
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
            one.tls_cert.write_bytes(two.tls_cert.read_bytes())  # the key does not fit yet
            time.sleep(2.5)
            assert {_serial(port) for _ in range(6)} == {before}
            one.tls_key.write_bytes(two.tls_key.read_bytes())
            deadline = time.monotonic() + 20
            while {_serial(port) for _ in range(6)} & {before} and time.monotonic() < deadline:
                time.sleep(0.5)
            assert before not in {_serial(port) for _ in range(12)}, "in both workers"
            assert open_.get(f"{server.base}/metadata").status_code == 200, "connections that are open go on"


def test_a_certificate_that_cannot_be_used_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("nothing")
    for flags in (["--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "cert.pem"],
                  ["--tls-cert", tmp_path / "cert.pem"]):  # fmt: skip
        line = command("serve", "--data-dir", tmp_path / "data", "--port", str(free_port()), "--no-demo", *flags)
        done = subprocess.run(line, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and "Traceback" not in done.stderr


def test_two_workers_share_the_limits_and_every_answer_says_not_to_guess_its_type(tmp_path: Path) -> None:
    flags = ("--auth", "smart", "--workers", "2", "--rate-address", "30/hour", "--rate-sign-in", "5/hour")
    with running(tmp_path / "data", *flags) as server:
        answers = [httpx.get(f"{server.base}/metadata") for _ in range(40)]
        assert sum(answer.status_code == 200 for answer in answers) in (28, 29), "two were asked at the start"
        refused = answers[-1]
        assert refused.status_code == 429 and 0 < int(refused.headers["retry-after"]) <= 3_600
        assert refused.json()["issue"][0]["code"] == "throttled"
        assert _signed_in(server) == [403] * 5 + [429] * 2
        for url in ("/Patient", "/../auth/jwks", "/../auth/sign-in", "/.well-known/smart-configuration"):
            answer = httpx.get(server.base + url)
            assert (url, answer.headers.get("x-content-type-options")) == (url, "nosniff")


def _signed_in(server: Running) -> list[int]:
    page = f"{server.base.removesuffix('/fhir')}/auth/sign-in"
    return [httpx.post(page, data={"name": "admin", "password": "wrong"}).status_code for _ in range(7)]
