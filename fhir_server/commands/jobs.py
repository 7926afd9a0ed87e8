"""`fhir-server jobs`: the jobs of a tenant, and the work on the clock."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping

import httpx

from fhir_server.commands.feed import asked
from fhir_server.model.version import instant
from fhir_server.serving.door import CONTROL_SOCKET, CommandFailed, client, need_record, open_door
from fhir_server.settings import Settings

HELP = "List and cancel jobs; show the work on the clock and when it runs next."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One action, and the job that it is about."""
    parser.add_argument("action", choices=tuple(_ACTIONS))
    parser.add_argument("id", nargs="?", default="", help="cancel: the job")
    parser.add_argument("--tenant", default="default", help="whose jobs")
    parser.add_argument("--all", action="store_true", help="list: those that have ended too")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Ask the process that owns the data folder."""
    if flags.action == "cancel" and not flags.id:
        raise CommandFailed("name the job to cancel")
    need_record(settings)
    with open_door(settings) as folder, client(folder / CONTROL_SOCKET) as door:
        _ACTIONS[flags.action](door, flags)
    return 0


def _list(door: httpx.Client, flags: argparse.Namespace) -> None:
    params = {"tenant": flags.tenant, "all": "1" if flags.all else ""}
    found = asked(door, "GET", "/jobs", params=params)
    if flags.json:
        _out(json.dumps(found, indent=1))
        return
    if not found:
        print("no job is there" if flags.all else "no job is under way (--all: ended ones too)", file=sys.stderr)  # noqa: T201
    for each in found:
        ended = f"  ended {instant(each['ended'])}" if each["ended"] else ""
        said = f"{each['id']}  {each['kind']}  {each['progress']}  by {each['by']} since {instant(each['created'])}"
        _out(f"{said}{ended}  {each['error']}".rstrip())


def _cancel(door: httpx.Client, flags: argparse.Namespace) -> None:
    asked(door, "POST", "/jobs/cancel", params={"tenant": flags.tenant}, json={"id": flags.id})
    _out(f"job {flags.id} is cancelled; what it wrote before stays")


def _schedule(door: httpx.Client, flags: argparse.Namespace) -> None:
    found = asked(door, "GET", "/schedule")
    if flags.json:
        _out(json.dumps(found, indent=1))
        return
    for name, each in found.items():
        said = f"{name}  {each['state']}"
        said += f"  last {instant(each['started'])}" if each["started"] else ""
        said += f"  next {instant(each['next'])}" if each["next"] else ""
        _out(f"{said}  {each['error']}".rstrip())


def _out(text: str) -> None:
    print(text)  # noqa: T201


_ACTIONS: Mapping[str, Callable[[httpx.Client, argparse.Namespace], None]] = {
    "list": _list,
    "cancel": _cancel,
    "schedule": _schedule,
}
