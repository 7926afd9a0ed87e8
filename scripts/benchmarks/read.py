"""Read by id against a bare ASGI app of the same HTTP server that returns the same bytes."""

import argparse
import statistics
from itertools import repeat
from pathlib import Path

import httpx

from scripts.benchmarks.client import get, post
from scripts.benchmarks.client import run as send
from scripts.benchmarks.servers import bare, ours

_SECONDS, _ROUNDS, _CONNECTIONS = 4.0, 3, 16
PATIENT = (
    b'{"resourceType":"Patient","active":true,"name":[{"use":"official","family":"Benchmark","given":["Bea"]}],'
    b'"gender":"female","birthDate":"1970-01-01","text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\">'
    + b"x" * 1500
    + b'</div>"}}'
)


def run(options: argparse.Namespace, folder: Path) -> None:
    """Take turns, so that a change of the machine's speed hits both."""
    with ours(folder / "data", workers=options.workers) as (port, _, _):
        created = httpx.post(
            f"http://127.0.0.1:{port}/fhir/Patient", content=PATIENT, headers={"content-type": "application/fhir+json"}
        )
        created.raise_for_status()
        path = f"/fhir/Patient/{created.json()['id']}"
        body = httpx.get(f"http://127.0.0.1:{port}{path}").content
        with bare(body, folder, workers=options.workers) as bare_port:
            rates = [(_rate(port, path), _rate(bare_port, "/")) for _ in range(_ROUNDS)]
    ours_, bare_ = (statistics.median(column) for column in zip(*rates, strict=True))
    ratio = statistics.median(a / b for a, b in rates)
    print(f"  {len(body)} bytes, {options.workers} workers, {_CONNECTIONS} connections, client on the same cores")
    print(f"  ours {ours_:,.0f}/s, bare {bare_:,.0f}/s, ratio {ratio:.2f} (budget 0.50)")


def _rate(port: int, path: str) -> float:
    result = send(port, repeat(get(path)), connections=_CONNECTIONS, seconds=_SECONDS)
    if result.failed:
        raise SystemExit(f"reads failed: {result.first_failure!r}")
    return result.rate


__all__ = ["post", "run"]
