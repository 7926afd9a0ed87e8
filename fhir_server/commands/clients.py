"""`fhir-server clients`: register, list, change and remove apps; rotate the keys that sign."""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fhir_server.commands.administration import Desk, administration, out, say
from fhir_server.serving.door import CommandFailed
from fhir_server.settings import Settings

HELP = "Register, list, show and remove apps; give them secrets; rotate the signing keys."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One action, and the client that it is about."""
    parser.add_argument("action", choices=tuple(_ACTIONS))
    parser.add_argument("id", nargs="?", default="", help="client_id; for `keys`: rotate")
    parser.add_argument("--name", default=None, help="what users read when they are asked")
    parser.add_argument("--kind", choices=("public", "symmetric", "asymmetric"), default=None)
    parser.add_argument("--redirect-uri", action="append", default=None)
    parser.add_argument("--launch-uri", default=None, help="where an EHR launches it")
    parser.add_argument("--scopes", default=None, help="the most that it may ask for, separated by spaces")
    parser.add_argument("--grant-type", action="append", default=None)
    parser.add_argument(
        "--state-code", action="append", default=None, metavar="SYSTEM|CODE", help="state that it may keep here"
    )
    parser.add_argument("--jwks", type=Path, default=None, metavar="FILE", help="its public keys, as JSON")
    parser.add_argument("--jwks-uri", default=None, help="where its public keys are")
    parser.add_argument(
        "--trusted", action=argparse.BooleanOptionalAction, default=None, help="ask no consent of users"
    )
    parser.add_argument("--active", action=argparse.BooleanOptionalAction, default=None, help="switch it on or off")
    parser.add_argument("--tenant", default="default")


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Do it by the process that owns the data folder."""
    if flags.action not in ("list", "add") and not flags.id:
        say(f"fhir-server clients {flags.action}: which client?")
        return 2
    with administration(settings, flags.tenant, begins=flags.action == "add") as desk:
        _ACTIONS[flags.action](desk, flags)
    return 0


def _values(flags: argparse.Namespace) -> dict[str, Any]:
    values = {
        "name": flags.name, "kind": flags.kind, "redirect_uris": flags.redirect_uri, "launch_uri": flags.launch_uri,
        "scopes": flags.scopes, "grant_types": flags.grant_type, "jwks": _jwks(flags.jwks),
        "jwks_uri": flags.jwks_uri, "trusted": flags.trusted, "state_codes": flags.state_code, "active": flags.active,
    }  # fmt: skip
    return {name: value for name, value in values.items() if value is not None}


def _jwks(path: Path | None) -> Any:
    if path is None:
        return None
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CommandFailed(f"{path}: {error}") from None


def _add(desk: Desk, flags: argparse.Namespace) -> None:
    client = desk.ask("POST", "/clients", _values(flags) | ({"id": flags.id} if flags.id else {}))
    say(f"registered as {client['id']}")
    out(json.dumps(client, indent=2))
    if "secret" in client:
        say("The secret is told this once.")


def _change(desk: Desk, flags: argparse.Namespace) -> None:
    out(json.dumps(desk.ask("PATCH", f"/clients/{flags.id}", _values(flags)), indent=2))


def _list(desk: Desk, flags: argparse.Namespace) -> None:
    for client in desk.ask("GET", "/clients")["clients"]:
        off = "" if client["active"] else "  switched off"
        out(f"{client['id']}  {client['kind']}  {client['name']}{off}")


def _show(desk: Desk, flags: argparse.Namespace) -> None:
    out(json.dumps(desk.ask("GET", f"/clients/{flags.id}"), indent=2))


def _secret(desk: Desk, flags: argparse.Namespace) -> None:
    out(str(desk.ask("POST", f"/clients/{flags.id}/secret")["secret"]))
    say("The secret is told this once. The one before it goes on until you ask for another.")


def _remove(desk: Desk, flags: argparse.Namespace) -> None:
    desk.ask("DELETE", f"/clients/{flags.id}")
    say(f"{flags.id} removed, with all that it was granted")


def _keys(desk: Desk, flags: argparse.Namespace) -> None:
    if flags.id != "rotate":
        raise CommandFailed("keys can be rotated: `fhir-server clients keys rotate`")
    say(f"signing with {desk.ask('POST', '/keys/rotate')['kid']} from now on")


_ACTIONS: Mapping[str, Callable[[Desk, argparse.Namespace], None]] = {
    "add": _add,
    "list": _list,
    "show": _show,
    "change": _change,
    "secret": _secret,
    "remove": _remove,
    "keys": _keys,
}
