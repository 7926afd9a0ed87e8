"""Read by id with authority and audit, against a bare ASGI app of the same HTTP server that returns the same bytes."""

import argparse
import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil

from scripts.benchmarks.client import get
from scripts.benchmarks.client import run as send
from scripts.benchmarks.processor import Cost, cost
from scripts.benchmarks.servers import bare, ours
from scripts.benchmarks.tokens import SYSTEM, bearer

_SECONDS, _ROUNDS, _CONNECTIONS = 2.0, 7, 16
_PATH = "/fhir/Patient/bench"
PATIENT = (
    b'{"resourceType":"Patient","id":"bench","active":true,"name":[{"use":"official","family":"Benchmark","given":["Bea"]}],'
    b'"gender":"female","birthDate":"1970-01-01","text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\">'
    + b"x" * 1500
    + b'</div>"}}'
)
_LAUNCH: Mapping[str, str] = {"scopes": "patient/*.rs", "patient": "bench"}
_BARE, _BUDGETED = "bare ASGI app", "authority and audit"
_VARIANTS: Mapping[str, tuple[str, str, Mapping[str, str] | None]] = {
    _BUDGETED: ("smart", "on", SYSTEM),
    "the same, scope patient/*.rs": ("smart", "on", _LAUNCH),
    "authority alone": ("smart", "off", SYSTEM),
    "audit alone": ("none", "on", None),
    "neither": ("none", "off", None),
}


class _Server(NamedTuple):
    port: int
    process: psutil.Process
    request: bytes


def run(options: argparse.Namespace, folder: Path) -> None:
    """Take turns, so that a change of the machine's speed hits all."""
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(_variant(folder / str(number), name, options.workers))
            for number, name in enumerate(_VARIANTS)
        }
        body = httpx.get(f"http://127.0.0.1:{servers['neither'].port}{_PATH}").raise_for_status().content
        port, process = stack.enter_context(bare(body, folder, workers=options.workers))
        servers[_BARE] = _Server(port, process, get("/"))
        rounds = [{name: _asked(server) for name, server in servers.items()} for _ in range(_ROUNDS)]
    print(
        f"  {len(body)} bytes, {options.workers} workers, {_CONNECTIONS} connections, client on the same cores; ",
        end="",
    )
    print(f"load average {os.getloadavg()[0]:.1f}, this included")
    _print(rounds)


@contextmanager
def _variant(folder: Path, name: str, workers: int) -> Iterator[_Server]:
    """Run a server that holds the patient."""
    auth, audit, grant = _VARIANTS[name]
    token = bearer(folder, grant) if grant else ""
    writes = bearer(folder, SYSTEM) if grant else ""
    with ours(folder, workers=workers, flags=("--auth", auth, "--audit", audit)) as (port, process, _):
        headers = {"content-type": "application/fhir+json", "authorization": writes}
        httpx.put(f"http://127.0.0.1:{port}{_PATH}", content=PATIENT, headers=headers).raise_for_status()
        yield _Server(port, process, get(_PATH, token))


def _asked(server: _Server) -> Cost:
    requests = repeat(server.request)
    return cost(server.process, lambda: send(server.port, requests, connections=_CONNECTIONS, seconds=_SECONDS))


def _print(rounds: Sequence[Mapping[str, Cost]]) -> None:
    for name in (*_VARIANTS, _BARE):
        rate, processor = (statistics.median(column) for column in zip(*(each[name] for each in rounds), strict=True))
        ratio, audit = _ratio(rounds, name, _BARE), ""
        if name in (_BUDGETED, "audit alone"):
            without = _ratio(rounds, name, "authority alone" if name == _BUDGETED else "neither")
            audit = f"; the audit costs {1 - without:.0%}"
        print(f"  {name:30} {rate:>7,.0f}/s  {processor:>4.0f} us of processor, {ratio:.2f} x bare{audit}")
    print(f"  {_ratio(rounds, _BUDGETED, _BARE):.2f} x bare (budget 0.50)")


def _ratio(rounds: Sequence[Mapping[str, Cost]], of: str, to: str) -> float:
    return statistics.median(each[of].rate / each[to].rate for each in rounds)
