"""Measure the write side of the SQLite store alone: synthetic resources shaped like Synthea's, in grouped commits.

python scripts/bench_store.py [--resources 300000] [--bundle 250] [--processes 2] [--dir DIR] [--set name=value ...]
"""

import argparse
import asyncio
import itertools
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body
from fhir_server.search.entries import IndexEntries
from fhir_server.settings import Settings
from fhir_server.storage.base import Change
from fhir_server.storage.sqlite.store import SqliteStore, open_store

FILLER = "x" * 1450


class Maker:
    """Makes bundles of resources: a patient, encounters at times of their own, and what was observed at each.

    Ids are in the order of time, as the server gives them out, or random, as clients do (`scattered`).
    """

    def __init__(self, seed: int, *, scattered: bool = False) -> None:
        self._random, self._scattered = random.Random(seed), scattered
        self._next = itertools.count(seed << 100).__next__

    def bundle(self, size: int) -> list[Change]:
        patient = self._id()
        encounters = [(self._id(), self._random.randrange(20000 * 86_400) * 1_000_000) for _ in range(-(-size // 12))]
        changes = [self._patient(patient)]
        changes += [self._encounter(id_, patient, time_) for id_, time_ in encounters]
        changes += [
            self._observation(patient, encounters[number * len(encounters) // size])
            for number in range(len(changes), size)
        ]
        return changes

    def _id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128) if self._scattered else self._next()))

    def _change(self, type_: str, id_: str, entries: IndexEntries) -> Change:
        head = f'{{"resourceType":"{type_}","id":"{id_}","meta":{{'
        return Change(
            ResourceKey(type_, id_), "POST", Body(f'{head}}},"text":"{FILLER}"}}'.encode(), len(head)), entries
        )

    def _patient(self, id_: str) -> Change:
        mrn = str(uuid.UUID(int=self._random.getrandbits(128)))
        name = f"name{self._random.randrange(5000)}"
        entries = IndexEntries(
            tokens=[("gender", "g", self._random.choice(("male", "female"))), ("identifier", "urn:mrn", mrn),
                    ("identifier", "urn:ssn", mrn[:11]), ("phone", "phone", mrn[:12]), ("active", "", "true")],
            strings=[("family", name, name), ("given", name, name), ("name", name, name)],
            dates=[("birthdate", 1000, 2000)],
        )  # fmt: skip
        return self._change("Patient", id_, entries)

    def _encounter(self, id_: str, patient: str, time_: int) -> Change:
        entries = IndexEntries(
            tokens=[("status", "s", "finished"), ("class", "c", "AMB"), ("identifier", "urn:syn", id_),
                    ("type", "http://snomed.info/sct", str(self._random.randrange(300)))],
            references=[("subject", "Patient", patient, None, None), ("patient", "Patient", patient, None, None),
                        ("service-provider", "Organization", f"org{self._random.randrange(500)}", None, None)],
            dates=[("date", time_, time_ + 3_600_000_000)],
        )  # fmt: skip
        return self._change("Encounter", id_, entries)

    def _observation(self, patient: str, encounter: tuple[str, int]) -> Change:
        code, value = str(self._random.randrange(200)), self._random.random() * 100
        entries = IndexEntries(
            tokens=[("status", "s", "final"), ("code", "http://loinc.org", code),
                    ("combo-code", "http://loinc.org", code),
                    ("category", "c", "vital-signs"), ("_profile", "p", "us-core")],
            references=[("subject", "Patient", patient, None, None), ("patient", "Patient", patient, None, None),
                        ("encounter", "Encounter", encounter[0], None, None)],
            dates=[("date", encounter[1], encounter[1] + 1_000_000)],
            quantities=[("value-quantity", value, value + 0.1, "http://unitsofmeasure.org", "kg",
                         (value, value + 0.1, "g"))],
        )  # fmt: skip
        return self._change("Observation", self._id(), entries)


@dataclass(slots=True)
class Meter:
    """What storing took so far, and since the last report."""

    done: int = 0
    wall: float = 0.0
    cpu: float = 0.0
    written: int = 0
    slowest: float = 0.0

    def report(self, before: "Meter") -> None:
        """Print the rates since an earlier reading."""
        n, wall = self.done - before.done, self.wall - before.wall
        print(
            f"{self.done:9,} resources  {n / wall:8,.0f}/s  overall {self.done / self.wall:8,.0f}/s  "
            f"{(self.cpu - before.cpu) / n * 1e6:5.0f} us CPU and {(self.written - before.written) / n / 1024:5.1f} KB "
            f"written each, slowest round {self.slowest:.2f} s",
            flush=True,
        )


def bytes_written() -> int:
    """Return what this process has caused to be written."""
    text = Path("/proc/self/io").read_text()
    return int(re.findall(r"^write_bytes: (\d+)", text, re.MULTILINE)[0])


async def ingest(store: SqliteStore, maker: Maker, arguments: argparse.Namespace) -> None:
    """Commit bundles, several under way at a time, and report the rate as the store grows."""
    rounds = max(1, arguments.resources // arguments.bundle // arguments.under_way)
    meter, before = Meter(), Meter()
    for number in range(1, rounds + 1):
        batch = [maker.bundle(arguments.bundle) for _ in range(arguments.under_way)]
        began, cpu, written = time.perf_counter(), time.process_time(), bytes_written()
        await asyncio.gather(*(store.commit(changes) for changes in batch))
        took = time.perf_counter() - began
        meter.wall, meter.slowest = meter.wall + took, max(meter.slowest, took)
        meter.cpu, meter.written = meter.cpu + time.process_time() - cpu, meter.written + bytes_written() - written
        meter.done += sum(map(len, batch))
        if number % max(1, rounds // arguments.reports) == 0:
            meter.report(before)
            before, meter.slowest = replace(meter), 0.0


def burn(stop: threading.Event) -> Iterator[None]:
    """Hold the interpreter as a busy event loop would."""
    while not stop.is_set():
        sum(range(100))
    yield


async def run(arguments: argparse.Namespace) -> None:
    folder = Path(arguments.dir)
    settings = Settings(**dict(text.split("=", 1) for text in arguments.set))
    store = await open_store(folder, settings)
    stop = threading.Event()
    if arguments.busy:
        threading.Thread(target=lambda: list(burn(stop)), daemon=True).start()
    await ingest(store, Maker(arguments.seed, scattered=arguments.scattered), arguments)
    stop.set()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    await store.close()
    size = sum(file.stat().st_size for file in folder.iterdir())  # noqa: ASYNC240
    total = sum((await _totals(folder, settings)).values())
    print(f"{usage.ru_maxrss / 1024:.0f} MB resident at most, {size / total:,.0f} bytes a resource on disk")


async def _totals(folder: Path, settings: Settings) -> dict[str, int]:
    store = await open_store(folder, settings)
    totals = dict(await store.statistics())
    await store.close()
    return totals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resources", type=int, default=50_000)
    parser.add_argument("--bundle", type=int, default=250)
    parser.add_argument("--under-way", type=int, default=4, help="bundles committed at a time by each process")
    parser.add_argument("--reports", type=int, default=6)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dir")
    parser.add_argument("--scattered", action="store_true", help="ids are random, as clients give them")
    parser.add_argument("--busy", action="store_true", help="another thread computes meanwhile")
    parser.add_argument("--set", nargs="*", default=[], help="settings, such as checkpoint_pages=4000")
    arguments = parser.parse_args()
    temporary = None if arguments.dir else tempfile.mkdtemp(prefix="bench-store-")
    arguments.dir = arguments.dir or temporary
    others = [
        subprocess.Popen([sys.executable, *sys.argv, "--processes", "1", "--seed", str(seed), "--dir", arguments.dir])
        for seed in range(2, arguments.processes + 1)
    ]
    began = time.perf_counter()
    asyncio.run(run(arguments))
    for other in others:
        other.wait()
    if others:
        rate = arguments.processes * arguments.resources / (time.perf_counter() - began)
        print(f"{arguments.processes} processes together {rate:,.0f}/s, making the bundles included")
    if temporary:
        shutil.rmtree(temporary)
    os._exit(0)


if __name__ == "__main__":
    main()
