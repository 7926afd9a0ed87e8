"""`fhir-server models`: keys and signatures of models, and the registry of the running server."""

import argparse
import base64
import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import httpx

from fhir_ai.models import ModelUnavailable, package_in
from fhir_ai.models.package import CARD, SIGNATURE
from fhir_ai.models.signing import key_id, new_key, public_of, sign
from fhir_server.plugin_api import Command, CommandFailed

Door = Callable[[], AbstractContextManager[httpx.Client]]
_ACTIONS: Final = (
    "list", "register", "promote", "rollback", "stop", "resume", "retire", "performance", "keygen", "sign",
)  # fmt: skip


def command() -> Command:
    """Return the command."""
    said = "List, register, promote, roll back, stop and watch learned models; make keys and sign."
    known = tuple(action for action in _ACTIONS if action != "register")
    return Command("models", said, add_arguments=add_arguments, ask=ask, needs_record=known)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Name what is to be done, and to which model."""
    parser.add_argument("action", choices=_ACTIONS)
    parser.add_argument("what", nargs="?", default="", help="name of the model; folder for register and sign")
    parser.add_argument("version", nargs="?", default="", help="its version")
    parser.add_argument("--challenger", action="store_true", help="promote: computed aside, not as the champion")
    parser.add_argument("--canary", type=float, default=0.0, help="promote: percentage that is shown the challenger")
    parser.add_argument("--because", default="stopped by the operator", help="stop: why; callers are told")
    parser.add_argument("--verify", action="store_true", help="list: load each, and say whether it can be used")
    parser.add_argument("--key", type=Path, help="keygen, sign: file of the private key")
    parser.add_argument("--tenant", default="default")


def ask(door: Door, flags: argparse.Namespace) -> int:
    """Do it; keys and signatures need no server."""
    offline = {"keygen": _keygen, "sign": _sign}.get(flags.action)
    if offline is not None:
        return offline(flags)
    if flags.action != "list" and not flags.what:
        raise CommandFailed(f"{flags.action} what?")
    parts = _parts(flags)
    with door() as http:
        root = "/fhir" if flags.tenant == "default" else f"/t/{flags.tenant}/fhir"
        body = {"resourceType": "Parameters", "parameter": parts}
        answer = http.post(f"{root}/Device/${_operation(flags.action)}", json=body)
    found: dict[str, Any] = answer.json()
    if answer.is_error:
        raise CommandFailed("; ".join(issue.get("diagnostics", "") for issue in found.get("issue", ())))
    _say_all(found)
    return 0


def _operation(action: str) -> str:
    return action if action == "performance" else f"model-{action}"


def _parts(flags: argparse.Namespace) -> list[dict[str, Any]]:
    if flags.action == "register":
        return _files(Path(flags.what))
    named = [{"name": "name", "valueCode": flags.what}] if flags.what else []
    if flags.version:
        named.append({"name": "version", "valueString": flags.version})
    if flags.action == "list":
        return [*named, {"name": "verify", "valueBoolean": flags.verify}]
    if flags.action == "promote":
        alias = "challenger" if flags.challenger or flags.canary else "champion"
        return [*named, {"name": "alias", "valueCode": alias}, {"name": "canary", "valueDecimal": flags.canary}]
    if flags.action == "stop":
        return [*named, {"name": "because", "valueString": flags.because}]
    return named


def _files(folder: Path) -> list[dict[str, Any]]:
    try:
        package = package_in(folder)
        content = (folder / package.manifest.file).read_bytes()
        signature = (folder / SIGNATURE).read_text(encoding="utf-8")
        card = (folder / CARD).read_text(encoding="utf-8")
    except (ModelUnavailable, OSError) as error:
        raise CommandFailed(f"{folder} holds no signed model: {error}") from None
    named = {"manifest": package.manifest_text.encode(), "card": card.encode(), "file": content}
    parts = [{"name": name, "valueBase64Binary": base64.b64encode(raw).decode()} for name, raw in named.items()]
    return [*parts, {"name": "signature", "valueString": signature.strip()}]


def _keygen(flags: argparse.Namespace) -> int:
    if flags.key is None:
        raise CommandFailed("keygen: name the file for the private key by --key FILE")
    private, public = new_key()
    try:
        flags.key.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        raise CommandFailed(f"{flags.key} is there already; a key is never overwritten") from None
    flags.key.write_text(private + "\n", encoding="ascii")
    _say(f"key {key_id(public)}; let the server trust it: FHIR_SERVER_PLUGIN__FHIR_AI__MODEL_KEYS='[\"{public}\"]'")
    return 0


def _sign(flags: argparse.Namespace) -> int:
    if flags.key is None or not flags.what:
        raise CommandFailed("sign: fhir-server models sign FOLDER --key FILE")
    folder = Path(flags.what)
    try:
        package = package_in(folder)
        private = flags.key.read_text(encoding="ascii")
        signature = sign(package.said(package.content()), private)
    except (ModelUnavailable, OSError, ValueError) as error:
        raise CommandFailed(f"{folder} cannot be signed: {error}") from None
    text = json.dumps({"algorithm": "Ed25519", "key": signature.key, "value": signature.value}, indent=1)
    (folder / SIGNATURE).write_text(text + "\n", encoding="utf-8")
    _say(f"{folder / SIGNATURE}: signed by {key_id(public_of(private))}")
    return 0


def _say_all(found: dict[str, Any]) -> None:
    for parameter in found.get("parameter", ()):
        if "resource" in parameter:
            _say(json.dumps(parameter["resource"], indent=1))
            continue
        values = [_value(part) for part in parameter.get("part", ())] or [_value(parameter)]
        _say("  ".join(f"{name}={value}" for name, value in values))


def _value(part: dict[str, Any]) -> tuple[str, Any]:
    if "part" in part:
        return part["name"], ", ".join(str(_value(each)[1]) for each in part["part"])
    return part["name"], next((value for key, value in part.items() if key.startswith("value")), "")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
