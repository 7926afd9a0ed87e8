#!/usr/bin/env python3
"""Measure index extraction: rows and microseconds per resource, by type, over Bundles of a folder.

    scripts/bench_index.py FOLDER [--limit N]

The folder holds transaction Bundles (.json, .json.bz2, .json.gz, .json.xz).
"""

import argparse
import bz2
import gc
import gzip
import lzma
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from fhir_server.search.entries import IndexEntries
from fhir_server.search.indexing import Extractor
from fhir_server.search.parameters import ParameterRegistry

_OPENERS = {".bz2": bz2.open, ".gz": gzip.open, ".xz": lzma.open, ".json": open}
_KINDS = (
    "tokens", "strings", "dates", "numbers", "quantities", "uris", "references", "composites", "positions",
)  # fmt: skip


def resources(folder: Path, limit: int) -> Iterator[dict[str, Any]]:
    """Yield the resources of the first Bundles, references rewritten to `Type/id` as a transaction would."""
    decoder = msgspec.json.Decoder(float_hook=Decimal)
    for path in sorted(p for p in folder.iterdir() if p.suffix in _OPENERS)[:limit]:
        with _OPENERS[path.suffix](path, "rb") as file:
            content = file.read()
        entries = decoder.decode(content)["entry"]
        for entry in entries:
            url, resource = entry.get("fullUrl", ""), entry["resource"]
            content = content.replace(url.encode(), f"{resource['resourceType']}/{resource['id']}".encode())
        yield from (entry["resource"] for entry in decoder.decode(content)["entry"])


def rows(entries: IndexEntries) -> Counter[str]:
    """Count the rows by kind."""
    return Counter({kind: len(getattr(entries, kind)) for kind in _KINDS})


def main() -> None:
    """Print a line for each type and one for all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, default=20, help="Bundles to read")
    arguments = parser.parse_args()
    by_type: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for resource in resources(arguments.folder, arguments.limit):
        by_type[resource["resourceType"]].append(resource)
    extractor = Extractor(ParameterRegistry.standard())
    gc.disable()
    totals: Counter[str] = Counter()
    count, seconds = 0, 0.0
    print(f"{'type':24}{'n':>7}{'cold us':>9}{'hot us':>8}{'rows':>7}  by kind")
    for type_, group in sorted(by_type.items(), key=lambda pair: -len(pair[1])):
        found: Counter[str] = Counter()
        extractor.extract(type_, group[0])
        cold = timed(extractor, type_, group)
        hot = min(timed(extractor, type_, group) for _ in range(5))
        for resource in group:
            found += rows(extractor.extract(type_, resource))
        totals += found
        count, seconds = count + len(group), seconds + hot
        print(line(type_, len(group), cold, hot, found))
    print(line("all", count, 0.0, seconds, totals))


def timed(extractor: Extractor, type_: str, group: list[dict[str, Any]]) -> float:
    """Return the seconds of processor time that extraction of a group takes: other programs do not count."""
    start = time.process_time()
    for resource in group:
        extractor.extract(type_, resource)
    return time.process_time() - start


def line(name: str, count: int, cold: float, hot: float, found: Counter[str]) -> str:
    """Format one line of the table."""
    kinds = " ".join(f"{kind} {number / count:.2f}" for kind, number in found.most_common())
    per = 1e6 / count
    return f"{name:24}{count:7}{cold * per:9.1f}{hot * per:8.1f}{sum(found.values()) / count:7.1f}  {kinds}"


if __name__ == "__main__":
    main()
