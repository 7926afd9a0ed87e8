"""`fhir-server tenants`: create, list, change, suspend, resume, export and erase tenants."""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fhir_server.commands import export
from fhir_server.commands.administration import Desk, administration, out, say
from fhir_server.settings import Settings

HELP = "Create, list, change, suspend, resume, export and erase tenants."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One action, and the tenant that it is about."""
    parser.add_argument("action", choices=tuple(_ACTIONS))
    parser.add_argument("name", nargs="?", default="", help="the tenant, as its URL /t/NAME/fhir has it")
    parser.add_argument("target", nargs="?", type=Path, help="export: folder for the NDJSON files")
    parser.add_argument("--display", default=None, help="what people call it")
    parser.add_argument("--own-host", action="append", default=None, metavar="HOST", help="a host that serves it")
    parser.add_argument(
        "--setting", action="append", default=[], metavar="NAME=VALUE", help="a setting of its own, VALUE as JSON"
    )
    parser.add_argument("--max-resources", type=int, default=None, help="most resources; 0: no limit")
    parser.add_argument("--max-bytes", type=int, default=None, help="most bytes of its files; 0: no limit")
    parser.add_argument("--bound-to", default=None, metavar="REGION", help="the region that alone serves it; '': any")
    parser.add_argument("--administrator", default=None, help="create: the name of its first user (admin)")
    parser.add_argument("--reason", default="", help="suspend: what its users are told")
    parser.add_argument("--confirm", default="", metavar="NAME", help="erase: the name once more")
    parser.add_argument("--gzip", action="store_true", help="export: pack the files")


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Do it by the process that owns the data folder."""
    if (flags.action != "list" and not flags.name) or (flags.action == "export" and flags.target is None):
        say(f"fhir-server tenants {flags.action}: NAME{' TARGET' if flags.action == 'export' else ''} is needed")
        return 2
    if flags.action == "export":
        flags.tenant, flags.types = flags.name, None
        return export.run(settings, flags)
    with administration(settings, "default", begins=flags.action == "create") as desk:
        _ACTIONS[flags.action](desk, flags)
    return 0


def _create(desk: Desk, flags: argparse.Namespace) -> None:
    asked = {"name": flags.name, **_given(flags)}
    if flags.administrator:
        asked["administrator"] = flags.administrator
    made = desk.ask("POST", "/tenants", asked)
    out(made["oneTimePassword"])
    say(f"tenant {made['name']} is served at /t/{made['name']}/fhir")
    say(
        f"Its administrator {flags.administrator or 'admin'!r} signs in with this password once, and chooses their own."
    )


def _list(desk: Desk, flags: argparse.Namespace) -> None:
    for tenant in desk.ask("GET", "/tenants")["tenants"]:
        if flags.name in ("", tenant["name"]):
            said = [tenant["name"], tenant["state"], tenant["display"] or "-", *tenant["hosts"]]
            out("  ".join([*said, *(f"{name}={json.dumps(value)}" for name, value in tenant["settings"].items())]))


def _show(desk: Desk, flags: argparse.Namespace) -> None:
    out(json.dumps(desk.ask("GET", f"/tenants/{flags.name}"), indent=1))


def _set(desk: Desk, flags: argparse.Namespace) -> None:
    out(json.dumps(desk.ask("PATCH", f"/tenants/{flags.name}", _given(flags)), indent=1))


def _suspend(desk: Desk, flags: argparse.Namespace) -> None:
    desk.ask("POST", f"/tenants/{flags.name}/suspend", {"reason": flags.reason})
    say(f"tenant {flags.name} is suspended: all its requests are refused")


def _resume(desk: Desk, flags: argparse.Namespace) -> None:
    desk.ask("POST", f"/tenants/{flags.name}/resume")
    say(f"tenant {flags.name} is served again")


def _erase(desk: Desk, flags: argparse.Namespace) -> None:
    erased = desk.ask("POST", f"/tenants/{flags.name}/erase", {"confirm": flags.confirm})
    out(json.dumps(erased["certificate"], indent=1))
    say(f"tenant {flags.name} is erased; its name stays taken")


def _given(flags: argparse.Namespace) -> dict[str, Any]:
    """Return what the flags say of a tenant; a setting without a value goes back to that of the installation."""
    pairs = (text.partition("=") for text in flags.setting)
    values = {
        "display": flags.display,
        "hosts": flags.own_host,
        "settings": {name: _value(text) for name, _, text in pairs} or None,
        "max_resources": flags.max_resources,
        "max_bytes": flags.max_bytes,
        "region": flags.bound_to,
    }
    return {name: value for name, value in values.items() if value is not None}


def _value(text: str) -> object:
    if not text:
        return None
    try:
        found: object = json.loads(text)
    except ValueError:
        return text
    return found


_ACTIONS: Mapping[str, Callable[[Desk, argparse.Namespace], None]] = {
    "create": _create,
    "list": _list,
    "show": _show,
    "set": _set,
    "suspend": _suspend,
    "resume": _resume,
    "export": _list,
    "erase": _erase,
}
