"""`fhir-server masks`: which elements the users of a role do not see."""

import argparse
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from fhir_server.commands.administration import Desk, administration, out, say
from fhir_server.serving.door import CommandFailed
from fhir_server.settings import Settings

HELP = "Hide elements of resources from the users of a role."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One action, and the role that it is about."""
    parser.add_argument("action", choices=tuple(_ACTIONS))
    parser.add_argument("role", nargs="?", default="", help="a role; `*`: callers without one")
    parser.add_argument("--hide", action="append", default=[], metavar="PATH", help="such as Patient.telecom")
    parser.add_argument(
        "--replace", action="append", default=[], metavar="PATH=JSON", help='such as Patient.name={"text": "hidden"}'
    )
    parser.add_argument("--tenant", default="default")


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Do it by the process that owns the data folder."""
    if flags.action != "list" and not flags.role:
        say(f"fhir-server masks {flags.action}: which role?")
        return 2
    with administration(settings, flags.tenant, begins=flags.action == "set") as desk:
        _ACTIONS[flags.action](desk, flags)
    return 0


def _list(desk: Desk, flags: argparse.Namespace) -> None:
    for role, rules in desk.ask("GET", "/masks")["masks"].items():
        for rule in rules if flags.role in ("", role) else ():
            out(f"{role}  {rule['path']}" + (f"  as {json.dumps(rule['with'])}" if "with" in rule else ""))


def _set(desk: Desk, flags: argparse.Namespace) -> None:
    rules: list[dict[str, Any]] = [{"path": path} for path in flags.hide]
    rules += [_replacing(text) for text in flags.replace]
    if not rules:
        raise CommandFailed("what is to be hidden? --hide PATH, --replace PATH=JSON; `remove` hides nothing any more")
    desk.ask("PUT", f"/masks/{quote(flags.role, safe='')}", {"rules": rules})
    say(f"{len(rules)} rules hold for {flags.role} within a second")


def _replacing(text: str) -> dict[str, Any]:
    path, _, value = text.partition("=")
    try:
        return {"path": path, "with": json.loads(value)}
    except ValueError:
        raise CommandFailed(f"{text[:80]}: PATH=JSON is needed, texts in quotation marks") from None


def _remove(desk: Desk, flags: argparse.Namespace) -> None:
    desk.ask("DELETE", f"/masks/{quote(flags.role, safe='')}")
    say(f"nothing is hidden from {flags.role} any more")


_ACTIONS: Mapping[str, Callable[[Desk, argparse.Namespace], None]] = {"list": _list, "set": _set, "remove": _remove}
