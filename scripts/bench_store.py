"""Measure the write side of the SQLite store alone: synthetic resources shaped like Synthea's, in grouped commits.

python scripts/bench_store.py [--resources 300000] [--bundle 250] [--processes 2] [--dir DIR] [--set name=value ...]
"""

import argparse
import asyncio
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body
from fhir_server.search.entries import IndexEntries
from fhir_server.settings import Settings
from fhir_server.storage.base import Change
from fhir_server.storage.sqlite.store import SqliteStore, open_store

FILLER = "x" * 1450


class Maker:
    """Makes bundles of resources: a patient, encounters, and observations that refer to both."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def bundle(self, size: int) -> list[Change]:
        patient = self._id()
        encounters = [self._id() for _ in range(max(1, size // 12))]
        changes = [self._patient(patient)]
        changes += [self._encounter(id_, patient) for id_ in encounters]
        while len(changes) < size:
            changes.append(self._observation(self._id(), patient, self._random.choice(encounters)))
        return changes

    def _id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128)))

    def _change(self, type_: str, id_: str, entries: IndexEntries) -> Change:
        head = f'{{"resourceType":"{type_}","id":"{id_}","meta":{{'
        return Change(
            ResourceKey(type_, id_), "POST", Body(f'{head}}},"text":"{FILLER}"}}'.encode(), len(head)), entries
        )

    def _patient(self, id_: str) -> Change:
        name = f"name{self._random.randrange(5000)}"
        entries = IndexEntries(
            tokens=[("gender", "g", self._random.choice(("male", "female"))), ("identifier", "urn:mrn", id_),
                    ("identifier", "urn:ssn", id_[:11]), ("phone", "phone", id_[:12]), ("active", "", "true")],
            strings=[("family", name, name), ("given", name, name), ("name", name, name)],
            dates=[("birthdate", 1000, 2000)],
        )  # fmt: skip
        return self._change("Patient", id_, entries)

    def _encounter(self, id_: str, patient: str) -> Change:
        day = self._random.randrange(20000) * 86_400_000_000
        entries = IndexEntries(
            tokens=[("status", "s", "finished"), ("class", "c", "AMB"), ("identifier", "urn:syn", id_),
                    ("type", "http://snomed.info/sct", str(self._random.randrange(300)))],
            references=[("subject", "Patient", patient, None, None), ("patient", "Patient", patient, None, None),
                        ("service-provider", "Organization", f"org{self._random.randrange(500)}", None, None)],
            dates=[("date", day, day + 1)],
        )  # fmt: skip
        return self._change("Encounter", id_, entries)

    def _observation(self, id_: str, patient: str, encounter: str) -> Change:
        day, code = self._random.randrange(20000) * 86_400_000_000, str(self._random.randrange(200))
        value = self._random.random() * 100
        entries = IndexEntries(
            tokens=[("status", "s", "final"), ("code", "http://loinc.org", code),
                    ("combo-code", "http://loinc.org", code),
                    ("category", "c", "vital-signs"), ("_profile", "p", "us-core")],
            references=[("subject", "Patient", patient, None, None), ("patient", "Patient", patient, None, None),
                        ("encounter", "Encounter", encounter, None, None)],
            dates=[("date", day, day + 1)],
            quantities=[("value-quantity", value, value + 0.1, "http://unitsofmeasure.org", "kg",
                         (value, value + 0.1, "g"))],
        )  # fmt: skip
        return self._change("Observation", id_, entries)


async def ingest(store: SqliteStore, maker: Maker, arguments: argparse.Namespace) -> None:
    """Commit bundles, several under way at a time, and report the rate as the store grows."""
    bundles, done, storing = arguments.resources // arguments.bundle, 0, 0.0
    mark, mark_done = 0.0, 0
    report = max(1, bundles // arguments.reports)
    worst = 0.0
    for start in range(0, bundles, arguments.under_way):
        batch = [maker.bundle(arguments.bundle) for _ in range(min(arguments.under_way, bundles - start))]
        began = time.perf_counter()
        await asyncio.gather(*(store.commit(changes) for changes in batch))
        took = time.perf_counter() - began
        storing, worst = storing + took, max(worst, took)
        done += sum(map(len, batch))
        if (start // arguments.under_way + 1) % max(1, report // arguments.under_way) == 0:
            rate = (done - mark_done) / (storing - mark)
            print(
                f"{done:9,} resources  {rate:9,.0f}/s  overall {done / storing:9,.0f}/s  slowest round {worst:.2f} s",
                flush=True,
            )
            mark, mark_done, worst = storing, done, 0.0


def burn(stop: threading.Event) -> Iterator[None]:
    """Hold the interpreter as a busy event loop would."""
    while not stop.is_set():
        sum(range(100))
    yield


async def run(arguments: argparse.Namespace) -> None:
    folder = Path(arguments.dir)
    settings = Settings(**dict(text.split("=", 1) for text in arguments.set))
    store = await open_store(folder, settings)
    before = resource.getrusage(resource.RUSAGE_SELF)
    stop = threading.Event()
    if arguments.busy:
        threading.Thread(target=lambda: list(burn(stop)), daemon=True).start()
    await ingest(store, Maker(arguments.seed), arguments)
    stop.set()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    await store.close()
    size = sum(file.stat().st_size for file in folder.iterdir())  # noqa: ASYNC240
    total = sum((await _totals(folder, settings)).values())
    print(f"CPU {usage.ru_utime - before.ru_utime:.1f} s user {usage.ru_stime - before.ru_stime:.1f} s system")
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
