"""`fhir-server users` and `fhir-server clients`, on a folder with a live server and without one."""

import json
import subprocess
from pathlib import Path

import httpx

from tests.integration.running import command, running

GOOD = "seven green bottles"


def _run(name: str, folder: Path, *arguments: str, stdin: str = "", status: int = 0) -> tuple[str, str]:
    line = command(name, *arguments, "--data-dir", folder)
    done = subprocess.run(line, input=stdin, capture_output=True, text=True, timeout=120)
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
        assert _run("users", folder, "list")[0].splitlines()[-1] == "maria  clinician  Practitioner/1"
        _, said = _run("users", folder, "add", "maria", status=1)
        assert "there is a user 'maria' already" in said
        _, said = _run("users", folder, "role", "maria", "--role", "wizard", status=1)
        assert "there is no role wizard" in said
        _, said = _run("users", folder, "set-password", "maria", "--password-stdin", stdin="maria-1234567\n", status=1)
        assert "must not hold your name" in said
        assert _run("users", folder, "role", "maria", "--role", "nurse")[0].startswith("maria  clinician,nurse")
        _run("users", folder, "lock", "maria")
        assert "switched off" in _run("users", folder, "list", "maria")[0]
        _run("users", folder, "unlock", "maria")
        assert "switched off" not in _run("users", folder, "list", "maria")[0]
        _run("users", folder, "remove", "maria")
        assert _run("users", folder, "list", "maria")[0] == ""
        _run("users", folder, "add", "root", "--role", "admin")
        _, said = _run("users", folder, "lock", "root", status=1)
        assert "last administrator" in said
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
