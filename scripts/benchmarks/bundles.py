"""Transaction Bundles to load: a folder of them as they are, or the demo cohort as creates."""

import argparse
import bz2
import json
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

from fhir_server.commands.sources import find_files
from fhir_server.model.json import minify
from fhir_server.serving.demo import demo_bundles
from scripts.benchmarks.client import post


def prepared(options: argparse.Namespace, token: str = "") -> list[tuple[int, bytes]]:
    """Return (resources, request) of each Bundle, minified, ready to send.

    They are sent over and over, so each of their entries must be a create; `load.fill` counts what is there after.
    """
    bodies = list(map(_as_creates, demo_bundles(100))) if options.data is None else _from(options.data)
    return [(body.count(b'"request":{'), post("/fhir", body, token)) for body in map(minify, bodies)]


def _from(folder: Path) -> list[bytes]:
    return [_read(path) for path in find_files([folder])]


def _read(path: Path) -> bytes:
    raw = path.read_bytes()
    return bz2.decompress(raw) if path.suffix == ".bz2" else raw


def _as_creates(bundle: bytes) -> bytes:
    """The demo Bundles put under fixed ids; a load that grows needs new resources each time."""
    found = json.loads(bundle)
    for entry in found["entry"]:
        entry["request"] = {"method": "POST", "url": entry["resource"]["resourceType"]}
    return json.dumps(found).encode()


def endless(bundles: list[tuple[int, bytes]], size: int) -> Iterator[tuple[int, bytes]]:
    """Yield Bundles over and over until they come to `size` resources."""
    total = 0
    for resources, request in cycle(bundles):
        if total >= size:
            return
        total += resources
        yield resources, request
