"""Measure $export of a running server: resources per second until all files are whole, download, memory.

python scripts/bench_bulk.py [--resources 200000] [--workers 1] [--members 500] [--import 20000] [--dir DIR]
"""

import argparse
import asyncio
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil

from fhir_server.app import extract_by
from fhir_server.model.keys import ResourceKey
from fhir_server.settings import Settings
from fhir_server.storage.base import Change
from fhir_server.storage.sqlite.provider import SqliteProvider
from scripts.bench_store import Maker
from scripts.benchmarks.servers import ours

BUNDLE = 250
ASYNC = {"Prefer": "respond-async"}


def _now() -> int:
    return time.time_ns() // 1_000_000


class Linked(Maker):
    """Makes what `Maker` makes, with the index rows that say whose it is."""

    def bundle(self, size: int) -> list[Change]:
        """Return a patient and their record."""
        patient, *rest = super().bundle(size)
        return [patient, *(_linked(change, patient.key) for change in rest)]


def _linked(change: Change, patient: ResourceKey) -> Change:
    link = ("~patient", "Patient", patient.id, None, None)
    return replace(change, entries=replace(change.entries, references=[*change.entries.references, link]))


async def fill(folder: Path, resources: int, members: int) -> None:
    """Write resources of about 1.6 KB, and a group of some patients."""
    settings = Settings(data_dir=folder, durable=False)
    provider = SqliteProvider(folder, settings, _now, extract_by(settings))
    store = await provider.open("default")
    maker, patients = Linked(1), []
    for _ in range(resources // BUNDLE // 8 + 1):
        batch = [maker.bundle(BUNDLE) for _ in range(8)]
        patients += [changes[0].key.id for changes in batch]
        await asyncio.gather(*(store.commit(changes) for changes in batch))
    await provider.close()
    (folder / "group.json").write_text(
        json.dumps({
            "resourceType": "Group", "id": "bench", "type": "person", "actual": True,
            "member": [{"entity": {"reference": f"Patient/{id_}"}} for id_ in patients[:members]],
        })
    )  # fmt: skip


@contextmanager
def watched(process: psutil.Process) -> Iterator[list[float]]:
    """Collect the resident megabytes of a server, its processes together and the largest one."""
    seen, stop = [0.0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.05) and process.is_running():
            family = [process, *process.children(recursive=True)]
            seen[0] = max(seen[0], *(each.memory_info().rss / 1e6 for each in family))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield seen
    stop.set()
    thread.join()


def finished(http: httpx.Client, kicked: httpx.Response) -> dict[str, Any]:
    """Wait for a job; return its manifest."""
    kicked.raise_for_status()
    while True:
        answer = http.get(kicked.headers["content-location"])
        if answer.status_code == 200:
            manifest: dict[str, Any] = answer.json()
            return manifest
        if answer.status_code >= 400 and answer.status_code != 429:
            raise SystemExit(answer.text)
        time.sleep(0.1)


def export(http: httpx.Client, process: psutil.Process, path: str) -> dict[str, Any]:
    """Export and say how fast."""
    with watched(process) as memory:
        begun = time.perf_counter()
        kicked = http.get(f"/fhir/{path}", headers=ASYNC)
        manifest = finished(http, kicked)
        seconds = time.perf_counter() - begun
    count = sum(item["count"] for item in manifest["output"])
    print(f"{path:40} {count:>9,} resources {count / seconds:>8,.0f}/s {seconds:6.1f} s, {memory[0]:.0f} MB resident")
    return manifest


def download(http: httpx.Client, manifest: dict[str, Any], encoding: str) -> None:
    """Fetch all files and say how fast."""
    begun, size, lines = time.perf_counter(), 0, sum(item["count"] for item in manifest["output"])
    for item in manifest["output"]:
        with http.stream("GET", item["url"], headers={"accept-encoding": encoding}) as answer:
            size += sum(map(len, answer.iter_raw()))
    seconds = time.perf_counter() - begun
    print(f"{'download, ' + encoding:40} {size / 1e6:>9,.0f} MB {lines / seconds:>14,.0f} resources/s {seconds:6.1f} s")


def lines(count: int) -> bytes:
    """Return so many valid resources: patients, each with nine observations."""
    found = []
    for number in range(count):
        patient, text = f"import-{number // 10}", "x" * 600
        if number % 10 == 0:
            found.append({"resourceType": "Patient", "id": patient, "gender": "female", "birthDate": "1980-01-01",
                          "name": [{"family": f"Name{number}", "given": ["Given"], "text": text}]})  # fmt: skip
            continue
        coding = {"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}
        found.append({
            "resourceType": "Observation", "id": f"import-{number}", "status": "final", "code": {"coding": [coding]},
            "subject": {"reference": f"Patient/{patient}"}, "effectiveDateTime": "2024-01-01T10:00:00Z",
            "valueQuantity": {"value": number % 90 + 50, "unit": "/min", "system": "http://unitsofmeasure.org",
                              "code": "/min"},
            "note": [{"text": text}],
        })  # fmt: skip
    return b"".join(json.dumps(each, separators=(",", ":")).encode() + b"\n" for each in found)


def upload(http: httpx.Client, process: psutil.Process, count: int) -> None:
    """Import a file and say how fast."""
    data = lines(count)
    with watched(process) as memory:
        begun = time.perf_counter()
        headers = {"content-type": "application/fhir+ndjson"}
        manifest = finished(http, http.post("/bulk/import", content=data, headers=headers))
        seconds = time.perf_counter() - begun
    done, refused = manifest["output"][0]["count"], manifest["output"][0]["refused"]
    said = f"{done / seconds:>8,.0f}/s {seconds:6.1f} s, {memory[0]:.0f} MB resident"
    print(f"{'$import, refused: ' + str(refused):40} {done:>9,} resources {said}")


def main() -> None:
    """Fill a store, serve it, export it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resources", type=int, default=200_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--members", type=int, default=200)
    parser.add_argument("--import", type=int, default=20_000, dest="imported")
    parser.add_argument("--dir", type=Path)
    options = parser.parse_args()
    folder = options.dir or Path(tempfile.mkdtemp(prefix="bench-bulk-"))
    if not (folder / "tenants").exists():
        asyncio.run(fill(folder, options.resources, options.members))
    try:
        with ours(folder, workers=options.workers) as (port, process, _):
            http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600)
            http.put("/fhir/Group/bench", json=json.loads((folder / "group.json").read_text())).raise_for_status()
            manifest = export(http, process, "$export")
            export(http, process, "$export?_type=Patient,Encounter")
            export(http, process, "Patient/$export")
            export(http, process, "Group/bench/$export")
            download(http, manifest, "identity")
            download(http, manifest, "gzip")
            export(http, process, "$export?_type=Patient&_outputFormat=parquet")
            if options.imported:
                upload(http, process, options.imported)
    finally:
        if options.dir is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
