"""Measure views: rows a second of one processor, from stored JSON to rows and on to each format.

    scripts/bench_views.py [FOLDER] [--files N]

FOLDER has Bundles (.json, .bz2); without it small resources are made up. The least time of three rounds counts.
"""

import argparse
import bz2
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fhir_views.engine import Row, View, compile_view
from fhir_views.formats import FORMATS

from fhir_server.model.json import decode, encode

OBSERVATIONS = {
    "resource": "Observation",
    "constant": [{"name": "loinc", "valueString": "http://loinc.org"}],
    "select": [
        {"column": [
            {"name": "id", "path": "getResourceKey()"}, {"name": "patient", "path": "subject.getReferenceKey(Patient)"},
            {"name": "encounter", "path": "encounter.getReferenceKey()"}, {"name": "status", "path": "status"},
            {"name": "effective", "path": "effective.ofType(dateTime)"}, {"name": "issued", "path": "issued"},
            {"name": "value", "path": "value.ofType(Quantity).value"},
            {"name": "unit", "path": "value.ofType(Quantity).unit"}, {"name": "text", "path": "code.text"},
        ]},
        {"forEachOrNull": "code.coding.where(system = %loinc)", "column": [
            {"name": "code", "path": "code"}, {"name": "display", "path": "display"},
        ]},
    ],
}  # fmt: skip
PATIENTS = {
    "resource": "Patient",
    "select": [
        {"column": [
            {"name": "id", "path": "getResourceKey()"}, {"name": "gender", "path": "gender"},
            {"name": "born", "path": "birthDate"},
            {"name": "given", "path": "name.where(use = 'official').given.join(' ')"},
            {"name": "family", "path": "name.where(use = 'official').family.first()"},
        ]},
        {"forEach": "address", "column": [
            {"name": "city", "path": "city"}, {"name": "line", "path": "line.join(', ')"},
            {"name": "n", "path": "%rowIndex"},
        ]},
    ],
}  # fmt: skip


def main() -> None:
    """Print a line for each view and format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--files", type=int, default=40)
    flags = parser.parse_args()
    bodies = _from(flags.folder, flags.files) if flags.folder else _made_up()
    for name, definition in (("11 columns of Observation", OBSERVATIONS), ("8 columns of Patient", PATIENTS)):
        view = compile_view(definition)
        _measure(name, view, bodies[definition["resource"]])


def _measure(name: str, view: View, bodies: list[bytes]) -> None:
    rows, seconds = _timed(lambda: list(view.rows_of(bodies)))
    average = sum(map(len, bodies)) / len(bodies)
    print(f"{name}, {len(bodies)} of {average:.0f} bytes: {len(rows) / seconds:,.0f} rows/s")
    for format_ in FORMATS.values():
        _, more = _timed(lambda format_=format_: _written(view, format_, rows))  # type: ignore[misc]
        print(f"    to {format_.name:<8} {len(rows) / (seconds + more):>10,.0f} rows/s")


def _written(view: View, format_: Any, rows: list[Row]) -> bytes:
    writer = format_.make(view.columns, True)
    return b"".join([writer.begin(), writer.rows(rows), writer.end()])


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        found = work()
        best = min(best, time.perf_counter() - started)
    return found, best


def _from(folder: Path, files: int) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {"Observation": [], "Patient": []}
    for path in [each for each in sorted(folder.rglob("*")) if each.suffix in (".json", ".bz2")][:files]:
        data = bz2.decompress(path.read_bytes()) if path.suffix == ".bz2" else path.read_bytes()
        for entry in decode(data).get("entry", ()):
            if (kind := entry["resource"]["resourceType"]) in found:
                found[kind].append(encode(entry["resource"]))
    return found


def _made_up() -> dict[str, list[bytes]]:
    coding = [{"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}]
    observation = {
        "resourceType": "Observation", "status": "final", "code": {"coding": coding, "text": "Heart rate"},
        "subject": {"reference": "Patient/1"}, "encounter": {"reference": "Encounter/1"},
        "effectiveDateTime": "2024-05-01T10:00:00Z", "issued": "2024-05-01T10:00:00Z",
        "valueQuantity": {"value": 72, "unit": "/min"},
    }  # fmt: skip
    patient = {
        "resourceType": "Patient", "gender": "female", "birthDate": "1970-01-01",
        "name": [{"use": "official", "family": "Adams", "given": ["Ann", "Mary"]}],
        "address": [{"city": "Springfield", "line": ["1 Main St", "Flat 2"]}],
    }  # fmt: skip
    return {
        "Observation": [encode({**observation, "id": str(number)}) for number in range(10_000)],
        "Patient": [encode({**patient, "id": str(number)}) for number in range(5_000)],
    }


if __name__ == "__main__":
    main()
