"""Transaction Bundles over HTTP, validated, indexed, durable, with the client on the same cores."""

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from scripts.benchmarks.bundles import endless, prepared
from scripts.benchmarks.client import run as send
from scripts.benchmarks.processor import spent
from scripts.benchmarks.servers import AUDITED, ours, resident
from scripts.benchmarks.tokens import bearer

_CONNECTIONS = 4
_STEP = 28_000


def fill(options: argparse.Namespace, port: int, token: str = "") -> float:
    """Load until the store has had `options.size` resources; print a line for each step and return the rate of all."""
    bundles = prepared(options, token)
    print(f"{len(bundles)} Bundles, {sum(size for size, _ in bundles)} resources; {_CONNECTIONS} connections")
    done, before, spent = 0, _stored(port, token), 0.0
    while done < options.size:
        part = list(endless(bundles, min(_STEP, options.size - done)))
        begun = time.perf_counter()
        result = send(port, _requests(part), connections=_CONNECTIONS)
        seconds = time.perf_counter() - begun
        if result.failed:
            raise SystemExit(f"{result.failed} Bundles failed: {result.first_failure!r}")
        spent += seconds
        count = sum(size for size, _ in part)
        done += count
        print(
            f"  {done:>9,} resources: {count / seconds:>7,.0f}/s, Bundle p50 {result.quantile(0.5):.0f} ms, "
            f"p95 {result.quantile(0.95):.0f} ms",
            flush=True,
        )

    stored = _stored(port, token) - before
    if stored != done:
        raise SystemExit(f"{done} resources were sent, {stored} are there")
    return done / spent


def _beside_the_store_alone(rate: float) -> None:
    """Print the ratio to what this machine's SQLite takes when nothing is parsed, checked or sent (one process)."""
    command = [sys.executable, "scripts/bench_store.py", "--resources", "28000", "--reports", "1"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    alone = float(re.findall(r"overall\s+([\d,]+)/s", said)[-1].replace(",", ""))
    print(f"  the store alone: {alone:,.0f}/s, ratio {rate / alone:.2f}")


def _stored(port: int, token: str) -> int:
    """Return how many resources the server holds."""
    headers = {"authorization": token}
    answer = httpx.get(f"http://127.0.0.1:{port}/fhir?_summary=count", headers=headers, timeout=120)
    return int(answer.raise_for_status().json()["total"])


def _requests(part: list[tuple[int, bytes]]) -> Iterator[bytes]:
    return (request for _, request in part)


def run(options: argparse.Namespace, folder: Path) -> None:
    """Load from empty and say how large the store and the processes became."""
    target = options.keep or folder
    token = bearer(target) if options.authority else ""
    with ours(target, workers=options.workers, flags=AUDITED if token else ()) as (port, process, _):
        before = spent(process)
        rate = fill(options, port, token)
        print(f"  {(spent(process) - before) / options.size * 1e6:.0f} us of processor for each resource")
        print(f"  resident MB: {resident(process)}")
    _beside_the_store_alone(rate)
    sizes = {path.name: round(path.stat().st_size / 1e6) for path in target.rglob("*.db")}
    print(f"  store MB: {json.dumps(sizes)}")
