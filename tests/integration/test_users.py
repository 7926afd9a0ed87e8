"""`fhir-server users` and `fhir-server clients`, on a folder with a live server and without one."""

import json
import subprocess
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.integration.running import command, running

GOOD = "seven green bottles"
pytestmark = pytest.mark.timeout(900)  # a process for each command


def _run(name: str, folder: Path, *arguments: str, stdin: str = "", status: int = 0) -> tuple[str, str]:
    line = command(name, *arguments, "--data-dir", folder)
    done = subprocess.run(line, input=stdin, capture_output=True, text=True, timeout=280)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.strip(), done.stderr


def test_users_are_kept_without_a_server_and_with_one(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    once, said = _run("users", folder, "add", "maria", "--role", "clinician", "--subject", "Practitioner/1")
    assert len(once) == 20 and "good once" in said
    assert "maria  clinician  Practitioner/1  must change the password" in _run("users", folder, "list")[0]
    with running(folder, "--auth", "smart") as server:
        _run("users", folder, "set-password", "maria", "--password-stdin", stdin=f"{GOOD}\n")
        _, said = _run("users", folder, "add", "maria", status=1)
        assert "there is a user 'maria' already" in said
        assert _run("users", folder, "role", "maria", "--role", "nurse")[0].startswith("maria  clinician,nurse")
        _run("users", folder, "lock", "maria")
        assert _run("users", folder, "list", "maria")[0] == "maria  clinician,nurse  Practitioner/1  switched off"
        _run("users", folder, "remove", "maria")
        assert _run("users", folder, "list")[0] == ""
        assert GOOD not in server.log.read_text() and once not in server.log.read_text()


def test_clients_are_registered_with_secrets_that_are_told_once(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--auth", "smart") as server:
        folder = server.folder
        arguments = ("--name", "Portal", "--kind", "symmetric", "--scopes", "user/*.rs")
        arguments += ("--redirect-uri", "https://portal.example/callback")
        client = json.loads(_run("clients", folder, "add", "portal", *arguments)[0])
        auth = f"{server.base.removesuffix('/fhir')}/auth"

        def known(secret: str) -> bool:
            """The code is bad in any case; with a bad secret it is not even looked at."""
            form = {"grant_type": "authorization_code", "code": "none"}
            told: str = httpx.post(f"{auth}/token", data=form, auth=("portal", secret)).json()["error"]
            assert told in ("invalid_grant", "invalid_client")
            return told == "invalid_grant"

        assert known(client["secret"]) and not known("a guess")
        second = _run("clients", folder, "secret", "portal")[0]
        assert known(second) and known(client["secret"])
        third = _run("clients", folder, "secret", "portal")[0]
        assert known(third) and known(second) and not known(client["secret"])
        assert "portal  symmetric  Portal" in _run("clients", folder, "list")[0]
        assert "secret" not in json.loads(_run("clients", folder, "show", "portal")[0])
        _, said = _run("clients", folder, "change", "portal", "--scopes", "user/*.rs everything", status=1)
        assert "these are no scopes: everything" in said
        kids = {key["kid"] for key in httpx.get(f"{auth}/jwks").json()["keys"]}
        _run("clients", folder, "keys", "rotate")
        assert kids < {key["kid"] for key in httpx.get(f"{auth}/jwks").json()["keys"]}
        _run("clients", folder, "remove", "portal")
        assert not known(third)
        told = server.log.read_text()
        assert not [secret for secret in (client["secret"], second, third) if secret in told]


def test_no_secret_comes_into_the_log(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with running(folder, "--auth", "smart", "--workers", "2") as server:
        _run("users", folder, "add", "maria", "--role", "clinician", "--password-stdin", stdin=f"{GOOD}\n")
        redirect = "https://portal.example/callback"
        flags = ("--name", "Portal", "--kind", "symmetric", "--redirect-uri", redirect)
        flags += ("--scopes", "user/*.rs", "--trusted")
        secret = json.loads(_run("clients", folder, "add", "portal", *flags)[0])["secret"]
        origin = server.base.removesuffix("/fhir")
        seen = [GOOD, secret, "v" * 64]
        with httpx.Client(base_url=origin) as browser:
            challenge = urlsafe_b64encode(sha256(b"v" * 64).digest()).rstrip(b"=").decode()
            query = {
                "response_type": "code", "client_id": "portal", "redirect_uri": redirect, "state": "s" * 32,
                "scope": "user/*.rs offline_access openid", "aud": server.base, "code_challenge": challenge,
                "code_challenge_method": "S256",
            }  # fmt: skip
            answer = browser.get("/auth/authorize", params=query)
            while not (place := answer.headers.get("location", "")).startswith(redirect):
                if place:
                    answer = browser.get(place)
                else:
                    handle = parse_qs(answer.url.query.decode())["request"][0]
                    form = {"request": handle, "name": "maria", "password": GOOD}
                    answer = browser.post("/auth/sign-in", data=form)
                    seen += browser.cookies.values()
            code = parse_qs(urlsplit(place).query)["code"][0]
            form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect}
            form["code_verifier"] = "v" * 64
            tokens = browser.post("/auth/token", data=form, auth=("portal", secret)).json()
            seen += [code, tokens["access_token"], tokens["refresh_token"], tokens["id_token"]]
            bearer = {"authorization": f"Bearer {tokens['access_token']}"}
            assert browser.get("/fhir/Patient", headers=bearer).is_success
            assert browser.get("/fhir/Patient?birthdat=1", headers=bearer).status_code == 400
            wrong = {"grant_type": "refresh_token", "refresh_token": tokens["access_token"]}
            assert browser.post("/auth/token", data=wrong, auth=("portal", secret)).status_code == 400
        assert server.stop() == 0
        told = server.log.read_text()
        assert told and not [each for each in seen if each in told]
