"""From the command to the first answer of /metadata: seconds, and processor time, which other work disturbs less.

Python compiles modules when it first loads them and keeps them, unless PYTHONDONTWRITEBYTECODE says otherwise; both are
measured. The first start is on an empty folder.
"""

import argparse
import os
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
import psutil

from scripts.benchmarks.servers import ours, resident

_STARTS = 5
_FIRST = 3.0
"""Seconds after the start in which requests are timed."""


def run(options: argparse.Namespace, folder: Path) -> None:
    """Start several times with one and with more workers."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    compiled = {**plain, "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    for workers in sorted({1, options.workers}):
        _several(options.keep or folder / str(workers), workers, compiled, "compiled modules")
    _several(options.keep or folder / "1", 1, {**plain, "PYTHONDONTWRITEBYTECODE": "1"}, "modules compiled each time")


def _several(folder: Path, workers: int, environment: Mapping[str, str], what: str) -> None:
    times, spent, slow = [], [], []
    for _ in range(_STARTS):
        with ours(folder, workers=workers, environment=environment) as (port, process, seconds):
            times.append(seconds)
            spent.append(_processor(process))
            slow.append(_slowest(port))
            memory = resident(process)
    later, processor = statistics.median(times[1:]), statistics.median(spent[1:])
    print(
        f"  {workers} worker(s), {what}: first {times[0]:.2f} s, then median {later:.2f} s, of the processor "
        f"{processor:.2f} s; p99 of requests in the {_FIRST:.0f} s after it {statistics.median(slow):.0f} ms; "
        f"resident MB {memory}; load average {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def _processor(process: psutil.Process) -> float:
    """Return the processor seconds of the process and its children."""
    all_times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in all_times)


def _slowest(port: int) -> float:
    """Return the milliseconds that 99 of 100 requests stay below, from the first on."""
    times, until = [], time.perf_counter() + _FIRST
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/fhir", timeout=30) as client:
        while time.perf_counter() < until:
            for url in ("/Patient/none", "/Patient?name=a", "/Observation?code=a&_count=1"):
                began = time.perf_counter()
                client.get(url)
                times.append(time.perf_counter() - began)
            time.sleep(0.01)
    return sorted(times)[len(times) * 99 // 100] * 1_000
