"""What the audit costs: reads by id and single creates with the audit off and on, taking turns."""

import argparse
import statistics
from collections.abc import Callable
from itertools import repeat
from pathlib import Path

import httpx

from scripts.benchmarks.client import get, post
from scripts.benchmarks.client import run as send
from scripts.benchmarks.read import PATIENT
from scripts.benchmarks.servers import ours

_SECONDS, _ROUNDS, _CONNECTIONS = 4.0, 5, 16


def run(options: argparse.Namespace, folder: Path) -> None:
    """Run a server with the audit and one without, side by side, and ask them in turns."""
    with (
        ours(folder / "off", workers=options.workers, flags=("--audit", "off")) as (off, _, _),
        ours(folder / "on", workers=options.workers, flags=("--audit", "on")) as (on, _, _),
    ):
        paths = {port: _created(port) for port in (off, on)}
        _compare("read", lambda port: _rate(port, get(paths[port])), off, on)
        _compare("create", lambda port: _rate(port, post("/fhir/Patient", PATIENT)), off, on)


def _created(port: int) -> str:
    answer = httpx.post(
        f"http://127.0.0.1:{port}/fhir/Patient", content=PATIENT, headers={"content-type": "application/fhir+json"}
    )
    return f"/fhir/Patient/{answer.raise_for_status().json()['id']}"


def _compare(name: str, rate: Callable[[int], float], off: int, on: int) -> None:
    rates = [(rate(off), rate(on)) for _ in range(_ROUNDS)]
    without, with_ = (statistics.median(column) for column in zip(*rates, strict=True))
    cost = 1 - statistics.median(b / a for a, b in rates)
    print(f"  {name}: {without:,.0f}/s off, {with_:,.0f}/s on, cost {cost:.0%}")


def _rate(port: int, request: bytes) -> float:
    result = send(port, repeat(request), connections=_CONNECTIONS, seconds=_SECONDS)
    if result.failed:
        raise SystemExit(f"requests failed: {result.first_failure!r}")
    return result.rate
