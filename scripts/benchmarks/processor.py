"""How much of the processors a server used: others on the machine change that less than they change rates."""

from collections.abc import Callable
from typing import NamedTuple

import psutil

from scripts.benchmarks.client import Result


class Cost(NamedTuple):
    """Answers a second, and microseconds of processor time of the server for each."""

    rate: float
    processor: float


def cost(owner: psutil.Process, ask: Callable[[], Result]) -> Cost:
    """Run requests against a server and say what they cost. Exits where one failed."""
    before = spent(owner)
    result = ask()
    if result.failed:
        raise SystemExit(f"{result.failed} requests failed: {result.first_failure!r}")
    return Cost(result.rate, (spent(owner) - before) / len(result.latencies) * 1e6)


def spent(owner: psutil.Process) -> float:
    """Return the seconds of processor time of a process and its children."""
    return float(sum(sum(each.cpu_times()[:2]) for each in (owner, *owner.children(recursive=True))))
