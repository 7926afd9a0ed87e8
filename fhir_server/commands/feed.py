"""`fhir-server feed`: how the consumers of the change feed stand; replay, skip, pause, resume."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from fhir_server.model.version import instant
from fhir_server.serving.door import CONTROL_SOCKET, CommandFailed, client, need_record, open_door
from fhir_server.settings import Settings

HELP = "Show the consumers of the change feed and their dead letters; replay, skip, pause, resume them."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One action, and the consumer that it is about."""
    parser.add_argument("action", choices=tuple(_ACTIONS))
    parser.add_argument("consumer", nargs="?", default="", help="its name; status and dead: all, if none is named")
    parser.add_argument("ids", nargs="*", help="replay, drop: ids of dead letters; all, if none is named")
    parser.add_argument("--tenant", default="default", help="whose feed")
    parser.add_argument("--to-now", action="store_true", help="skip: all that waits, not only what is stuck")
    parser.add_argument("--all", action="store_true", help="replay: the whole log from its beginning")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--limit", type=int, default=100, help="dead: most letters")
    parser.add_argument("--after", default="", help="dead: the id after which to go on")


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Ask the process that owns the data folder."""
    if flags.action not in ("status", "dead") and not flags.consumer:
        print(f"fhir-server feed {flags.action}: name the consumer", file=sys.stderr)  # noqa: T201
        return 2
    need_record(settings)
    with open_door(settings) as folder, client(folder / CONTROL_SOCKET) as door:
        _ACTIONS[flags.action](door, flags)
    return 0


def asked(door: httpx.Client, method: str, path: str, **options: Any) -> Any:
    """Return what the owner answers. Raises CommandFailed."""
    answer = door.request(method, path, **options)
    if answer.is_error:
        try:
            raise CommandFailed(answer.json()["error"])
        except (ValueError, KeyError, TypeError):
            raise CommandFailed(f"the server answered {answer.status_code}") from None
    return answer.json()


def _status(door: httpx.Client, flags: argparse.Namespace) -> None:
    found = asked(door, "GET", "/feed", params={"tenant": flags.tenant})
    found = [each for each in found if flags.consumer in ("", each["name"])]
    if flags.json:
        _out(json.dumps(found, indent=1))
        return
    for each in found:
        late = max(0, time.time() - each["oldest"] / 1_000) if each["oldest"] else 0
        said = f"{each['name']}  {each['state']}  txid {each['txid']}  {each['behind']} behind"
        said += f" ({late:.0f} s)" if each["oldest"] else ""
        said += f"  {each['waiting']} waiting  {each['dead']} dead"
        if "failing" in each:
            since, attempts = instant(each["failing"]["since"]), each["failing"]["attempts"]
            said += f"\n    failing since {since}, {attempts} times: {each['failing']['reason']}"
        _out(said)
    if not found:
        _out("no consumer has begun here")


def _dead(door: httpx.Client, flags: argparse.Namespace) -> None:
    params = {"tenant": flags.tenant, "consumer": flags.consumer, "limit": flags.limit, "after": flags.after}
    found = asked(door, "GET", "/feed/dead", params=params)
    if flags.json:
        _out(json.dumps(found, indent=1))
        return
    for each in found:
        what = f"{each['resource']}/_history/{each['version']} {each['method']}"
        _out(f"{each['id']}  {what}  {each['attempts']} tries since {instant(each['since'])}  {each['reason']}")


def _order(door: httpx.Client, flags: argparse.Namespace) -> None:
    what = "restart" if flags.action == "replay" and flags.all else flags.action
    body = {
        "consumer": flags.consumer,
        "what": what,
        "ids": flags.ids,
        "to": "now" if flags.to_now else "head",
    }
    done = asked(door, "POST", "/feed/orders", params={"tenant": flags.tenant}, json=body)
    _out(json.dumps(done))


def _out(text: str) -> None:
    print(text)  # noqa: T201


_ACTIONS: Mapping[str, Callable[[httpx.Client, argparse.Namespace], None]] = {
    "status": _status,
    "dead": _dead,
    "replay": _order,
    "skip": _order,
    "pause": _order,
    "resume": _order,
    "drop": _order,
}
