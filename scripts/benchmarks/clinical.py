"""Clinical AI over HTTP: $triage at a steady rate, $risk-assess of a patient, and of a Group as a job."""

import argparse
import asyncio
import os
import random
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import uvloop

from scripts.benchmarks.client import Result, answered, get
from scripts.benchmarks.processor import spent
from scripts.benchmarks.servers import ours

_RATE, _SECONDS, _CONNECTIONS = 100, 10.0, 32
_PATIENTS, _OBSERVATIONS = 10, 1_000
_MEMBERS, _EACH, _AT_ONCE = 2_000, 20, 50
_UCUM: Final = "http://unitsofmeasure.org"
_SIGNS: Final = (
    ("9279-1", 16, "/min"), ("59408-5", 98, "%"), ("3151-8", 0, "L/min"), ("8480-6", 120, "mm[Hg]"),
    ("8462-4", 70, "mm[Hg]"), ("8867-4", 70, "/min"), ("8310-5", 37, "Cel"), ("80288-4", 0, ""),
)  # fmt: skip
_TESTS: Final = (
    ("2160-0", 1, "mg/dL"), ("2951-2", 138, "mmol/L"), ("777-3", 250, "10*3/uL"), ("6690-2", 7, "10*3/uL"),
    ("1975-2", 0.5, "mg/dL"), ("1920-8", 20, "U/L"), ("1742-6", 20, "U/L"), ("2093-3", 180, "mg/dL"),
    ("2085-9", 50, "mg/dL"), ("4548-4", 6, "%"), ("718-7", 14, "g/dL"), ("2075-0", 100, "mmol/L"),
)  # fmt: skip
_ALERT: Final = {"coding": [{"system": "http://snomed.info/sct", "code": "248234008"}]}
_QUERIES: Final = ("?model=support2-30d", "?model=news2&model=cha2ds2_vasc&model=ckd_epi_2021", "")


def run(options: argparse.Namespace, folder: Path) -> None:
    """Fill a store, then ask; each figure is of a server that does nothing else."""
    with ours(folder, workers=options.workers) as (port, process, _):
        base = f"http://127.0.0.1:{port}/fhir"
        with httpx.Client(base_url=base, timeout=300) as client:
            for number in range(_PATIENTS):
                _store(client, [f"large-{number}"], _OBSERVATIONS)
            for number in range(20 * _PATIENTS):
                client.get(f"/Patient/large-{number % _PATIENTS}/$triage").raise_for_status()  # all workers are warm
            for title, writes in (("as it is", False), ("after a new value each time", True)):
                before = spent(process)
                result = uvloop.run(_steady(port, client if writes else None))
                each = (spent(process) - before) / len(result.latencies) * 1e3
                print(f"  $triage, {_RATE}/s, {title}: {_told(result)}, {each:.1f} ms of processor", flush=True)
            _one(client)
            _group(client)
        print(f"  {options.workers} workers, load average {os.getloadavg()[0]:.1f}, this included")


def _told(result: Result) -> str:
    if result.failed:
        raise SystemExit(f"{result.failed} requests failed: {result.first_failure!r}")
    return f"p50 {result.quantile(0.5):.1f} ms, p99 {result.quantile(0.99):.1f} ms"


async def _steady(port: int, client: httpx.Client | None) -> Result:
    """Ask at a rate; a latency counts from when its request was due, however late it was sent."""
    result, queue = Result(), asyncio.Queue[tuple[float, bytes] | None]()
    tasks = [asyncio.create_task(_served(port, queue, result)) for _ in range(_CONNECTIONS)]
    writer = asyncio.create_task(asyncio.to_thread(_write, client)) if client is not None else None
    begun = time.perf_counter()
    for number in range(int(_RATE * _SECONDS)):
        due = begun + number / _RATE
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        queue.put_nowait((due, get(f"/fhir/Patient/large-{number % _PATIENTS}/$triage")))
    for _ in tasks:
        queue.put_nowait(None)
    await asyncio.gather(*tasks)
    if writer is not None:
        await writer
    return result


def _write(client: httpx.Client) -> None:
    """Write a new heart rate of each patient in turn, so often that no answer finds what was kept."""
    for number in range(int(_SECONDS * _PATIENTS)):
        patient = f"large-{number % _PATIENTS}"
        client.post("/Observation", json=_observation(patient, "8867-4", 70, "/min", 0.01)).raise_for_status()
        time.sleep(1 / _PATIENTS / 2)


async def _served(port: int, queue: "asyncio.Queue[tuple[float, bytes] | None]", result: Result) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    while (item := await queue.get()) is not None:
        due, request = item
        writer.write(request)
        await answered(reader, result, due)
    writer.close()


def _one(client: httpx.Client) -> None:
    """Print how long all scores and models of a large patient take."""
    took = []
    for number in range(100):
        begun = time.perf_counter()
        client.get(f"/Patient/large-{number % _PATIENTS}/$risk-assess").raise_for_status()
        took.append(time.perf_counter() - begun)
    took.sort()
    print(
        f"  $risk-assess, all scores and models, one at a time: p50 {took[50] * 1e3:.1f} ms, "
        f"p99 {took[98] * 1e3:.1f} ms"
    )


def _group(client: httpx.Client) -> None:
    names = [f"small-{number:05}" for number in range(_MEMBERS)]
    for start in range(0, _MEMBERS, _AT_ONCE):
        _store(client, names[start : start + _AT_ONCE], _EACH)
    members = [{"entity": {"reference": f"Patient/{name}"}} for name in names]
    group = {"resourceType": "Group", "id": "bench", "type": "person", "actual": True, "member": members}
    client.put("/Group/bench", json=group).raise_for_status()
    for query in _QUERIES:
        begun = time.perf_counter()
        accepted = client.get(
            f"/Group/bench/$risk-assess{query}", headers={"prefer": "respond-async"}
        ).raise_for_status()
        while (answer := client.get(accepted.headers["content-location"])).status_code == 202:
            time.sleep(0.05)
        lines = len(answer.raise_for_status().text.splitlines())
        rate = lines / (time.perf_counter() - begun)
        print(f"  Group/$risk-assess{query}: {lines} patients with {_EACH} observations, {rate:.0f}/s", flush=True)


def _store(client: httpx.Client, patients: Iterable[str], observations: int) -> None:
    entries = [entry for patient in patients for entry in _record(patient, observations)]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    client.post("", json=bundle).raise_for_status()


def _record(patient: str, observations: int) -> Iterator[dict[str, Any]]:
    """Yield the entries of a patient: vital signs every two hours for five days, and results of years."""
    rng = random.Random(patient)
    person = {
        "resourceType": "Patient",
        "id": patient,
        "gender": rng.choice(["male", "female"]),
        "birthDate": "1960-03-04",
    }
    yield {"resource": person, "request": {"method": "PUT", "url": f"Patient/{patient}"}}
    rounds = 60 if observations > 500 else 1
    signs = [(*sign, 0.5 + 2.0 * number) for number in range(rounds) for sign in _SIGNS]
    results = [(*rng.choice(_TESTS), rng.uniform(2, 20_000)) for _ in range(max(0, observations - len(signs)))]
    for code, value, unit, hours in (*signs, *results):
        observation = _observation(patient, code, value, unit, hours)
        yield {"resource": observation, "request": {"method": "POST", "url": "Observation"}}
    for code in ("I10", "E11.9"):
        coded = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": code}]}
        condition = {"resourceType": "Condition", "code": coded, "subject": {"reference": f"Patient/{patient}"}}
        yield {"resource": condition, "request": {"method": "POST", "url": "Condition"}}


def _observation(patient: str, code: str, value: float, unit: str, hours: float) -> dict[str, Any]:
    at = datetime.now(UTC) - timedelta(hours=hours)
    coded = {"coding": [{"system": "http://loinc.org", "code": code}]}
    quantity = {"valueQuantity": {"value": value, "unit": unit, "system": _UCUM, "code": unit}}
    return {
        "resourceType": "Observation", "status": "final", "code": coded,
        "subject": {"reference": f"Patient/{patient}"}, "effectiveDateTime": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        **(quantity if unit else {"valueCodeableConcept": _ALERT}),
    }  # fmt: skip
