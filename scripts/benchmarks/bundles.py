"""Transaction Bundles to load: a folder of them, or the demo cohort."""

import argparse
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

from fhir_server.commands.sources import find_files, parcels
from fhir_server.model.json import minify
from fhir_server.serving.demo import demo_bundles
from scripts.benchmarks.client import post


def prepared(options: argparse.Namespace) -> list[tuple[int, bytes]]:
    """Return (resources, request) of each Bundle, minified, ready to send."""
    if options.data is None:
        bodies = [(body.count(b'"fullUrl"'), body) for body in map(_as_posts, demo_bundles(100))]
    else:
        bodies = [
            (parcel.size, minify(parcel.body)) for path in find_files([Path(options.data)]) for parcel in parcels(path)
        ]
    return [(size, post("/fhir", body)) for size, body in bodies]


def _as_posts(bundle: bytes) -> bytes:
    """The demo Bundles put under fixed ids; a load that grows needs new resources each time."""
    return minify(bundle)


def endless(bundles: list[tuple[int, bytes]], size: int) -> Iterator[tuple[int, bytes]]:
    """Yield Bundles over and over until they come to `size` resources."""
    total = 0
    for resources, request in cycle(bundles):
        if total >= size:
            return
        total += resources
        yield resources, request
