"""First page of common clinical searches over HTTP: rate of one connection set, p50 and p99."""

import argparse
import itertools
from pathlib import Path

import httpx

from scripts.benchmarks.client import get
from scripts.benchmarks.client import run as send
from scripts.benchmarks.load import fill
from scripts.benchmarks.servers import AUDITED, ours, resident
from scripts.benchmarks.tokens import bearer

_SECONDS, _CONNECTIONS = 4.0, 2
_CODES = ("8302-2", "29463-7", "39156-5", "8867-4", "2339-0", "6299-2")


def queries(patients: list[str]) -> dict[str, list[str]]:
    """Return the searches by name, each with several values so that no cache answers alone."""
    years = range(2005, 2019)
    return {
        "token + date": [f"Observation?code=http://loinc.org|{c}&date=ge{y}&_count=10" for c in _CODES for y in years],
        "token": [f"Observation?code={c}&_count=10" for c in _CODES],
        "patient": [f"Observation?patient={p}&_count=10" for p in patients],
        "patient, newest first": [f"Observation?patient={p}&_sort=-date&_count=10" for p in patients],
        "patient + token, newest first": [
            f"Observation?patient={p}&code={c}&_sort=-date&_count=1" for p in patients for c in _CODES
        ],
        "token, newest first": [f"Observation?code={c}&_sort=-date&_count=10" for c in _CODES],
        "all, newest first": ["Observation?_sort=-date&_count=10"],
        "name": [f"Patient?name={n}&_count=10" for n in ("Jo", "Ma", "Koepp", "Angel", "Ab")],
        "chain": [f"Observation?code={c}&patient.gender=female&_count=10" for c in _CODES],
        "_has": [f"Patient?_has:Observation:patient:code={c}&_count=10" for c in _CODES],
        "quantity": [f"Observation?code=8302-2&value-quantity=gt{v}||cm&_count=10" for v in range(150, 190, 5)],
        "include": [f"Observation?code={c}&_include=Observation:patient&_count=10" for c in _CODES],
        "revinclude": [f"Patient?_id={p}&_revinclude=Condition:patient" for p in patients],
        "total": ["Observation?_summary=count", "Patient?_count=0"],
        "read": [f"Patient/{p}" for p in patients],
    }


def run(options: argparse.Namespace, folder: Path) -> None:
    """Fill the store if it is not there yet, then time each search."""
    target = options.keep or folder
    token = bearer(target) if options.authority else ""
    with (
        ours(target, workers=options.workers, flags=AUDITED if token else ()) as (port, process, _),
        httpx.Client(base_url=f"http://127.0.0.1:{port}/fhir", headers={"authorization": token}, timeout=60) as fhir,
    ):
        if fhir.get("/Observation?_summary=count").json()["total"] == 0:
            fill(options, port, token)
        total = sum(fhir.get(f"/{t}?_summary=count").json()["total"] for t in ("Patient", "Observation", "Claim"))
        found = fhir.get("/Patient?_count=200&_elements=id").json()["entry"]
        patients = [entry["resource"]["id"] for entry in found]
        if token:  # what an app sees that was launched for one patient
            token = bearer(target, {"scopes": "patient/*.rs", "patient": patients[0]})
        print(f"  {total:,} Patients, Observations and Claims; {options.workers} workers, {_CONNECTIONS} connections")
        for name, paths in queries(patients).items():
            requests = itertools.cycle([get(f"/fhir/{path}", token) for path in paths])
            result = send(port, requests, connections=_CONNECTIONS, seconds=_SECONDS)
            fault = f"  {result.failed} FAILED {result.first_failure!r}" if result.failed else ""
            times = f"p50 {result.quantile(0.5):>7.2f} ms  p99 {result.quantile(0.99):>7.2f} ms"
            print(f"  {name:32} {result.rate:>7,.0f}/s  {times}{fault}", flush=True)
        print(f"  resident MB: {resident(process)}")
