"""`fhir-server reindex`: make the index rows anew, as a job of the owner, with progress."""

import argparse
import sys
import time
from typing import Any

import httpx
from tqdm import tqdm

from fhir_server.commands.progress import progress
from fhir_server.serving.door import CONTROL_SOCKET, FHIR_SOCKET, CommandFailed, client, need_record, open_door
from fhir_server.settings import Settings

HELP = "Make the search index anew (after a change of search parameters)."
_POLL = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Narrow the types."""
    parser.add_argument("--type", action="append", dest="types", metavar="TYPE", help="only this type (repeatable)")


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Start the `$reindex` job and wait for its end."""
    parameters = [{"name": "type", "valueCode": type_} for type_ in flags.types or ()]
    body = {"resourceType": "Parameters", **({"parameter": parameters} if parameters else {})}
    need_record(settings)
    with open_door(settings) as folder, client(folder / FHIR_SOCKET) as door, progress(" resources") as bar:
        answer = door.post("/fhir/$reindex", json=body, headers={"prefer": "respond-async"})
        if answer.status_code != httpx.codes.ACCEPTED:
            raise CommandFailed(f"the server answered {answer.status_code}: {answer.text[:300]}")
        _follow(door, answer.headers["content-location"], bar)
    print(f"the index of {', '.join(flags.types or ()) or 'all types'} is made anew", file=sys.stderr)  # noqa: T201
    return 0


def complete(settings: Settings) -> None:
    """Make index rows that a restored store lacks: those of custom parameters, and of absolute references to itself.

    The others were made when the store was opened.
    """
    with open_door(settings) as folder:
        with client(folder / CONTROL_SOCKET) as control:
            tenants: list[str] = control.get("/status").json()["tenants"]
        with client(folder / FHIR_SOCKET) as door:
            for tenant in tenants:
                root = "/fhir" if tenant == "default" else f"/t/{tenant}/fhir"
                custom = door.get(f"{root}/SearchParameter?_summary=count").json().get("total", 0)
                if custom or settings.base_url:
                    _reindex(door, root)


def _reindex(door: httpx.Client, root: str) -> None:
    body = {"resourceType": "Parameters"}
    answer = door.post(f"{root}/$reindex", json=body, headers={"prefer": "respond-async"})
    if answer.status_code != httpx.codes.ACCEPTED:
        raise CommandFailed(f"the server answered {answer.status_code}: {answer.text[:300]}")
    with progress(" resources") as bar:
        _follow(door, answer.headers["content-location"], bar)


def _follow(door: httpx.Client, location: str, bar: "tqdm[Any]") -> None:
    while True:
        answer = door.get(location)
        if answer.status_code != httpx.codes.ACCEPTED:
            break
        done, _, of = answer.headers.get("x-progress", "").partition("/")
        if done.isdigit() and of.isdigit():
            bar.total = int(of)
            bar.update(int(done) - bar.n)
        time.sleep(_POLL)
    if answer.is_error:
        raise CommandFailed(f"the job failed with {answer.status_code}: {answer.text[:300]}")
