"""Cost of each operation as the number of patients grows; draws the curve."""

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from scripts.benchmarks.client import Result, get, post
from scripts.benchmarks.client import run as send
from scripts.benchmarks.servers import ours

_SIZES = (1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000)
_PER_BUNDLE = 50
_SECONDS = 3.0


def _bundle(first: int) -> bytes:
    """A transaction of 50 patients with three observations each, under ids made from their numbers."""
    entries: list[dict[str, Any]] = []
    for number in range(first, first + _PER_BUNDLE):
        patient = {
            "resourceType": "Patient",
            "id": f"p{number}",
            "name": [{"family": f"Family{number % 997}"}],
            "gender": "female",
            "birthDate": f"19{number % 90 + 10}-01-01",
        }
        for one in (patient, *(_observation(number, place) for place in range(3))):
            entries.append({"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}})
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()


def _observation(number: int, place: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"o{number}-{place}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": f"c{(number + place) % 50}"}]},
        "subject": {"reference": f"Patient/p{number}"},
        "effectiveDateTime": f"20{number % 20 + 10}-03-0{place + 1}",
        "valueQuantity": {"value": number % 200, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
    }


def _paths(size: int) -> dict[str, list[str]]:
    some = range(0, size, max(1, size // 200))
    return {
        "read": [f"Patient/p{n}" for n in some],
        "patient's observations": [f"Observation?patient=p{n}&_sort=-date&_count=10" for n in some],
        "token + date": [f"Observation?code=http://loinc.org|c{n % 50}&date=ge2020&_count=10" for n in some],
        "name": [f"Patient?family=Family{n % 997}&_count=10" for n in some],
        "chain": [f"Observation?code=c{n % 50}&patient.family=Family{n % 997}&_count=10" for n in some],
        "reverse chain (_has)": [f"Patient?_has:Observation:patient:code=c{n % 50}&_count=10" for n in some],
    }


def run(options: argparse.Namespace, folder: Path) -> None:
    """Grow the store step by step and measure each operation at each size."""
    curves: dict[str, list[float]] = {}
    with ours(folder, workers=options.workers) as (port, _, _):
        done = 0
        for size in _SIZES:
            bundles = [post("/fhir", _bundle(first)) for first in range(done, size, _PER_BUNDLE)]
            _note(curves, "write (per resource)", send(port, bundles, connections=4), _PER_BUNDLE * 4)
            done = size
            for name, paths in _paths(size).items():
                requests = itertools.cycle([get(f"/fhir/{path}") for path in paths])
                _note(curves, name, send(port, requests, connections=2, seconds=_SECONDS), 1)
            print(f"  {size:>6} patients: " + ", ".join(f"{n} {c[-1]:.2f} ms" for n, c in curves.items()), flush=True)
    _draw(curves, options.picture)


def _note(curves: dict[str, list[float]], name: str, result: Result, per: int) -> None:
    if result.failed:
        raise SystemExit(f"{name} failed: {result.first_failure!r}")
    curves.setdefault(name, []).append(result.quantile(0.5) / per)


def _draw(curves: dict[str, list[float]], picture: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 5))
    for name, values in curves.items():
        axes.plot(_SIZES[: len(values)], values, marker="o", label=name)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="patients in the store",
        ylabel="median, ms",
        title="Cost of an operation as the store grows",
    )
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"  drawn: {picture}")
