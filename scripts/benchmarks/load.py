"""Transaction Bundles over HTTP, validated, indexed, durable, with the client on the same cores."""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from scripts.benchmarks.bundles import endless, prepared
from scripts.benchmarks.client import run as send
from scripts.benchmarks.servers import ours, resident

_CONNECTIONS = 4
_STEP = 28_000


def fill(options: argparse.Namespace, port: int) -> None:
    """Load until the store has had `options.size` resources; print a line for each step."""
    bundles = prepared(options)
    print(f"{len(bundles)} Bundles, {sum(size for size, _ in bundles)} resources; {_CONNECTIONS} connections")
    done, before = 0, _stored(port)
    while done < options.size:
        part = list(endless(bundles, min(_STEP, options.size - done)))
        begun = time.perf_counter()
        result = send(port, _requests(part), connections=_CONNECTIONS)
        seconds = time.perf_counter() - begun
        if result.failed:
            raise SystemExit(f"{result.failed} Bundles failed: {result.first_failure!r}")
        count = sum(size for size, _ in part)
        done += count
        print(
            f"  {done:>9,} resources: {count / seconds:>7,.0f}/s, Bundle p50 {result.quantile(0.5):.0f} ms, "
            f"p95 {result.quantile(0.95):.0f} ms",
            flush=True,
        )

    stored = _stored(port) - before
    if stored != done:
        raise SystemExit(f"{done} resources were sent, {stored} are there")


def _stored(port: int) -> int:
    """Return how many resources the server holds."""
    answer = httpx.get(f"http://127.0.0.1:{port}/fhir?_summary=count", timeout=120)
    return int(answer.raise_for_status().json()["total"])


def _requests(part: list[tuple[int, bytes]]) -> Iterator[bytes]:
    return (request for _, request in part)


def run(options: argparse.Namespace, folder: Path) -> None:
    """Load from empty and say how large the store and the processes became."""
    target = options.keep or folder
    with ours(target, workers=options.workers) as (port, process, _):
        fill(options, port)
        print(f"  resident MB: {resident(process)}")
    sizes = {path.name: round(path.stat().st_size / 1e6) for path in target.rglob("*.db")}
    print(f"  store MB: {json.dumps(sizes)}")
