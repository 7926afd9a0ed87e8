"""What the audit costs: reads by id and single creates with the audit off and on, taking turns."""

import argparse
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat
from pathlib import Path

import httpx
import psutil

from scripts.benchmarks.client import Result, get, post
from scripts.benchmarks.client import run as send
from scripts.benchmarks.processor import cost
from scripts.benchmarks.read import PATIENT
from scripts.benchmarks.servers import ours

_SECONDS, _ROUNDS, _CONNECTIONS = 4.0, 5, 16


def run(options: argparse.Namespace, folder: Path) -> None:
    """Run a server with the audit and one without, side by side, and ask them in turns."""
    with (
        ours(folder / "off", workers=options.workers, flags=("--audit", "off")) as (off, without, _),
        ours(folder / "on", workers=options.workers, flags=("--audit", "on")) as (on, with_, _),
    ):
        servers = ((off, without), (on, with_))
        paths = {port: _created(port) for port, _ in servers}
        _compare("read", servers, lambda port: _sent(port, get(paths[port])))
        _compare("create", servers, lambda port: _sent(port, post("/fhir/Patient", PATIENT)))


def _created(port: int) -> str:
    answer = httpx.post(
        f"http://127.0.0.1:{port}/fhir/Patient", content=PATIENT, headers={"content-type": "application/fhir+json"}
    )
    return f"/fhir/Patient/{answer.raise_for_status().json()['id']}"


def _compare(name: str, servers: Sequence[tuple[int, psutil.Process]], send_to: Callable[[int], Result]) -> None:
    """Print rates, and the time of processors that a request takes, which others on the machine change less."""
    rounds = [[cost(owner, partial(send_to, port)) for port, owner in servers] for _ in range(_ROUNDS)]
    rates = [statistics.median(each[at][0] for each in rounds) for at in (0, 1)]
    times = [statistics.median(each[at][1] for each in rounds) for at in (0, 1)]
    costs = 1 - statistics.median(on[0] / off[0] for off, on in rounds)
    more = statistics.median(on[1] / off[1] for off, on in rounds) - 1
    print(f"  {name}: {rates[0]:,.0f}/s off, {rates[1]:,.0f}/s on, cost {costs:.0%}; ", end="")
    print(f"{times[0]:.0f} us of processor off, {times[1]:.0f} us on, {more:.0%} more")


def _sent(port: int, request: bytes) -> Result:
    return send(port, repeat(request), connections=_CONNECTIONS, seconds=_SECONDS)
