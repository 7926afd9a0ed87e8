#!/usr/bin/env python3
"""How long validation takes: a Patient of 1.9 KB, Observations, and the resources of a folder of Synthea bundles.

    scripts/bench_validation.py [--others] [FOLDER [BUNDLES]]

FOLDER holds transaction Bundles (.json or .json.bz2). `--others` runs fhir.resources R4B, fhirkit-rs and jsonschema-rs
on the same documents in the same run (`pip install -e .[bench]`). Resources are parsed just before, one at a time, as
an import does it. Other work on the machine shows in the mean and less in the best of the rounds.
"""

import argparse
import bz2
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fhir_server.definitions import load
from fhir_server.model.json import decode, items, members, minify
from fhir_server.packages import core_library
from fhir_server.terminology import Terminology
from fhir_server.terminology.systems import installed_systems
from fhir_server.validation import Validator, Wanted
from scripts.benchmarks.documents import DOCUMENTS, PATIENT

ROUNDS = 5
REPEATS = 2_000
BUDGETS = {"structure": 30.0, "full": 100.0}
LEVELS = {
    "structure": Wanted("structure"),
    "full, as a write": Wanted(errors_only=True, codes="warning", implied=False, prose=False),
    "full, all findings": Wanted(),
}
Check = Callable[[Any], object]


def main() -> None:
    """Print the figures; the exit code says whether Patient and Observation stay below their budgets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--others", action="store_true", help="measure other validators too")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("bundles", nargs="?", type=int, default=10)
    flags = parser.parse_args()
    validator = new_validator()
    slow = [bench_document(validator, name, content) for name, content in DOCUMENTS.items()]
    bench_bad(validator)
    if flags.others:
        from scripts.benchmarks.other_validators import bench_others

        bench_others(validator)
    if flags.folder:
        bench_folder(validator, flags.folder, flags.bundles)
    sys.exit(any(slow))


def new_validator() -> Validator:
    """Return a validator as a server has it, without packages."""
    library = core_library()
    return Validator(load(), library, Terminology(library, systems=installed_systems(Path("/nonexistent"))))


def bench_document(validator: Validator, name: str, content: bytes) -> bool:
    """Print how long one document takes at each level; return whether that is too long."""
    print(f"{name}, {len(content)} bytes minified, us")
    slow = False
    for level, wanted in LEVELS.items():
        times = [microseconds(checking(validator, wanted), decode(content)) for _ in range(REPEATS)]
        print(f"  {level:<20} {summary(times)}")
        slow = slow or min(times) > BUDGETS[wanted.level]
    if content is PATIENT:
        fresh = [microseconds(checking(validator, LEVELS["structure"]), decode(new_narrative(n))) for n in range(2000)]
        print(f"  {'a new narrative':<20} {summary(fresh)}")
    return slow


def bench_bad(validator: Validator) -> None:
    """A Patient with one fault, all findings."""
    bad = decode(PATIENT) | {"gender": "man"}
    times = [microseconds(checking(validator, Wanted()), bad) for _ in range(200)]
    print(f"Patient with a bad gender\n  {'full, all findings':<20} {summary(times)}")


def checking(validator: Validator, wanted: Wanted) -> Check:
    """Return what validates as wanted."""
    return lambda resource: validator.look(resource, None, wanted)


def bench_folder(validator: Validator, folder: Path, bundles: int) -> None:
    """Every resource of some bundles, at each level."""
    raw = list(resources(folder, bundles))
    size = sum(map(len, raw)) / len(raw)
    print(f"{len(raw)} resources of {bundles} bundles in {folder.name}, {size:.0f} bytes each minified, us a resource")
    for level, wanted in LEVELS.items():
        check = checking(validator, wanted)
        rounds = [[microseconds(check, decode(content)) for content in raw] for _ in range(ROUNDS)]
        best = [min(times) for times in zip(*rounds, strict=True)]
        means = "  ".join(f"{statistics.mean(times):.1f}" for times in rounds)
        print(f"  {level:<20} rounds {means};  best mean {statistics.mean(best):.1f}")
        if wanted.errors_only:
            for name, times in by_type(raw, best):
                print(f"      {name:<24} {len(times):>6} x {statistics.mean(times):6.1f}")


def by_type(raw: Iterable[bytes], times: Iterable[float]) -> list[tuple[str, list[float]]]:
    """The times of each resource type."""
    found: dict[str, list[float]] = defaultdict(list)
    for content, taken in zip(raw, times, strict=True):
        found[str(decode(content)["resourceType"])].append(taken)
    return sorted(found.items())


def resources(folder: Path, bundles: int) -> Iterator[bytes]:
    """Every resource of some bundles, minified."""
    for path in sorted(folder.glob("*.json*"))[:bundles]:
        content = path.read_bytes()
        bundle = members(minify(bz2.decompress(content) if path.suffix == ".bz2" else content))
        for entry in items(bundle["entry"]):
            yield members(entry)["resource"]


def new_narrative(number: int) -> bytes:
    """The Patient with a narrative of its own."""
    return PATIENT.replace(b"Amy V. Shaw</b>", b"Amy V. Shaw</b> %d" % number)


def microseconds(work: Check, value: object) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work(value)
    return (time.perf_counter() - start) * 1e6


def summary(times: list[float]) -> str:
    """Least, median and 95th percentile."""
    high = statistics.quantiles(times, n=20)[-1]
    return f"min {min(times):6.1f}  median {statistics.median(times):6.1f}  p95 {high:6.1f}"


if __name__ == "__main__":
    main()
