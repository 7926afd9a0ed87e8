"""Reads, searches, histories, pages, includes and writes on the MongoDB engine, at several sizes of the store.

The server is FerretDB, started here, or what FHIR_SERVER_TEST_MONGODB_URL names (`played`: the replica set that tests
play). Beside the times stands what does not depend on that server: how many commands a request sends to `versions`,
how many documents come back, and the processor time of our own process. An operation is flat if these are.
"""

import argparse
import asyncio
import itertools
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

import httpx
from pymongo import MongoClient

from fhir_server.serving.moving.copying import Copying
from fhir_server.serving.moving.ends import End
from fhir_server.serving.moving.entries import indexing_of
from fhir_server.settings import Settings
from fhir_server.storage.mongodb.connection import client_of, server_of
from scripts.benchmarks.bundles import prepared
from scripts.benchmarks.client import get, post, put
from scripts.benchmarks.client import run as send
from scripts.benchmarks.load import fill
from scripts.benchmarks.mongodb_counts import Counted, counted
from scripts.benchmarks.processor import spent
from scripts.benchmarks.search import queries
from scripts.benchmarks.servers import ours
from tests.servers.mongodb import end as end_servers
from tests.servers.mongodb import mongodb_url

_CONNECTIONS, _PATIENTS, _PAGES = 2, 50, 5
_SLOW: Mapping[str, int] = {"search_timeout": 600, "store_deadline": 600, "lock_timeout": 300, "mongodb_lease": 300}
"""Limits for servers that look at every document."""
_PLUGINS = tuple(each.name for each in entry_points(group="fhir_server.plugins"))
"""Left out, for what they do with changes would go on beside the measurement, which looks at every document too."""
_STOPS = 12.0
"""Seconds of one request from which an operation is not asked at larger sizes."""


@dataclass(frozen=True, slots=True)
class Measured:
    """An operation at one size: milliseconds of the clock, microseconds of our processor, and what the store did."""

    median: float
    late: float
    processor: float
    counted: Counted


def run(options: argparse.Namespace, folder: Path) -> None:
    """Fill a store of each size and time each operation on it."""
    url = mongodb_url()
    found: dict[str, dict[int, Measured]] = {}
    try:
        print(
            f"  {asyncio.run(_named(url))}; {_CONNECTIONS} connections, 1 worker, first page of 10, no plugins",
            flush=True,
        )
        done = 0
        for size in sorted(options.sizes):
            _loaded(options, folder / "embedded", size - done)
            done = size
            settings = _settings(url, f"bench{os.getpid()}-{size}", folder)
            seconds = asyncio.run(_moved(folder / "embedded", settings))
            print(f"  {size:,} resources came in {seconds:.0f} s by `migrate`, its comparison left out", flush=True)
            _measure(options, settings, folder, found)
            _drop(settings)
    finally:
        end_servers()
    _print(found)


def _settings(url: str, prefix: str, folder: Path) -> Settings:
    place = {"storage": "mongodb", "mongodb_url": url, "mongodb_database": prefix, "data_dir": folder / prefix}
    open_ = {"auth": "none", "audit": "off", "demo": False, "plugins_disabled": _PLUGINS}
    return Settings.model_validate({**place, **_SLOW, **open_})


async def _named(url: str) -> str:
    client = client_of(Settings(mongodb_url=url))
    server = await server_of(client)
    await client.close()
    return f"{server.name} (so it calls itself), transactions: {'yes' if server.transactions else 'no'}"


def _loaded(options: argparse.Namespace, folder: Path, resources: int) -> None:
    """Load Bundles into the embedded engine, which is soon done."""
    with ours(folder, workers=1, flags=("--audit", "off")) as (port, _, _):
        fill(argparse.Namespace(**{**vars(options), "size": resources}), port)


async def _moved(source: Path, settings: Settings) -> float:
    """Copy the log of the embedded engine as `fhir-server migrate` does; return the seconds that it took."""
    begun = time.perf_counter()
    leaving, coming = End(Settings(data_dir=source, auth="none")).open(), End(settings).open()
    kept, door = await leaving.kept("default"), await coming.door("default")
    end = await kept.end()
    await Copying(kept, door, await indexing_of(kept, "default", settings), end.pid, lambda part, done: None).log()
    await door.seal(end)
    for each in (kept, door, leaving, coming):
        await each.close()
    return time.perf_counter() - begun


def _measure(
    options: argparse.Namespace, settings: Settings, folder: Path, found: dict[str, dict[int, Measured]]
) -> None:
    size = int(settings.mongodb_database.rpartition("-")[2])
    set_ = {f"FHIR_SERVER_{name.upper()}": str(value) for name, value in _SLOW.items()}
    set_ |= {"FHIR_SERVER_STORAGE": "mongodb", "FHIR_SERVER_MONGODB_URL": settings.mongodb_url}
    set_ |= {"FHIR_SERVER_MONGODB_DATABASE": settings.mongodb_database}
    set_ |= {"FHIR_SERVER_PLUGINS_DISABLED": ",".join(_PLUGINS)}
    where = folder / f"{settings.mongodb_database}-served"
    with ours(where, workers=1, flags=("--audit", "off"), environment=os.environ | set_) as (port, process, _):
        asked = {name: requests for name, requests in _requests(options, port).items() if not _is_slow(found, name)}
        tally = asyncio.run(counted(settings, {name: requests[0] for name, requests in asked.items()}))
        for name, requests in asked.items():
            before = spent(process)
            result = send(port, itertools.cycle(requests), connections=_CONNECTIONS, seconds=options.seconds)
            if result.failed:
                print(f"  {name}: {result.failed} FAILED {result.first_failure!r}")
            used = (spent(process) - before) / len(result.latencies) * 1e6
            measured = Measured(result.quantile(0.5), result.quantile(0.99), used, tally[name])
            found.setdefault(name, {})[size] = measured
            print(f"  {size:>7,} {name:30} {_line(measured)}  load {os.getloadavg()[0]:.1f}", flush=True)


def _is_slow(found: Mapping[str, Mapping[int, Measured]], name: str) -> bool:
    return any(each.median > _STOPS * 1000 for each in found.get(name, {}).values())


def _line(measured: Measured) -> str:
    times = f"p50 {measured.median:>9.1f} ms  p99 {measured.late:>9.1f} ms  ours {measured.processor:>8,.0f} us"
    return f"{times}  {measured.counted.commands:>3} commands {measured.counted.documents:>6} documents"


def _requests(options: argparse.Namespace, port: int) -> dict[str, list[bytes]]:
    """Return the operations with the requests that they take turns over."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/fhir", timeout=900) as fhir:
        entries = fhir.get(f"/Patient?_count={_PATIENTS}").raise_for_status().json()["entry"]
        patients = [entry["resource"] for entry in entries]
        paths = queries([each["id"] for each in patients])
        paths |= {
            "vread": [f"Patient/{each['id']}/_history/1" for each in patients],
            "history of one": [f"Patient/{each['id']}/_history" for each in patients],
            "history of a type": ["Observation/_history?_count=10"],
            "history of all": ["_history?_count=10"],
            f"page {_PAGES} of a status": [_page(fhir, "Observation?status=final&_count=10")],
            f"page {_PAGES}, newest first": [_page(fhir, "Observation?_sort=-date&_count=10")],
        }
    asked = {name: [get(f"/fhir/{path}") for path in each] for name, each in paths.items()}
    return asked | dict(_writes(options, patients))


def _page(fhir: httpx.Client, path: str) -> str:
    """Return the address of a later page."""
    for _ in range(_PAGES - 1):
        links = fhir.get(f"/{path}").raise_for_status().json()["link"]
        path = next(each["url"] for each in links if each["relation"] == "next").partition("/fhir/")[2]
    return path


def _writes(options: argparse.Namespace, patients: Sequence[dict[str, object]]) -> Iterator[tuple[str, list[bytes]]]:
    code = {"coding": [{"system": "http://loinc.org", "code": "8302-2"}]}
    made = {"resourceType": "Observation", "status": "final", "code": code, "effectiveDateTime": "2026-01-01"}
    subjects = [{"reference": f"Patient/{each['id']}"} for each in patients]
    yield "create", [post("/fhir/Observation", json.dumps({**made, "subject": each}).encode()) for each in subjects]
    changed = [
        {**each, "birthDate": f"19{year}-01-01"} for year in range(30, 90) for each in patients
    ]  # each differs from the one before
    yield "update", [put(f"/fhir/Patient/{each['id']}", json.dumps(each).encode()) for each in changed]
    yield "transaction", [request for _, request in prepared(options)]


def _drop(settings: Settings) -> None:
    client: MongoClient[dict[str, object]] = MongoClient(settings.mongodb_url)
    with client:
        for name in client.list_database_names():
            if name.startswith(settings.mongodb_database):
                client.drop_database(name)


def _print(found: Mapping[str, Mapping[int, Measured]]) -> None:
    """Print a table for the documentation."""
    sizes = sorted({size for row in found.values() for size in row})
    columns = [f"{what}, {size:,}" for what in ("commands / documents", "us of ours", "p50 ms") for size in sizes]
    print(f"\n| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name, row in found.items():
        there = [row.get(size) for size in sizes]
        cells = [f"{each.counted.commands} / {each.counted.documents}" if each else "-" for each in there]
        cells += [f"{each.processor:,.0f}" if each else "-" for each in there]
        cells += [f"{each.median:,.1f}" if each else "-" for each in there]
        print(f"| {name} | {' | '.join(cells)} |")
