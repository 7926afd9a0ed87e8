"""What R4 itself brings: types, profiles, extensions, value sets, code systems and concept maps."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec

from fhir_server.definitions import locate
from fhir_server.packages.library import Entry, Library

CORE = "hl7.fhir.r4.core#4.0.1"

_FILES = {
    "profiles": ("structure_definitions.ndjson",),
    "terminology": ("code_systems.ndjson", "value_sets.ndjson", "concept_maps.ndjson"),
}


class _Head(msgspec.Struct):
    resourceType: str  # noqa: N815  # the name of the field
    id: str
    url: str = ""
    version: str = ""


_head = msgspec.json.Decoder(_Head)


@cache
def core_library() -> Library:
    """Return the library of hl7.fhir.r4.core 4.0.1, as facts (scripts/generate_core_package.py); one a process."""
    root = locate().parent.parent
    return Library(
        entry for folder, names in _FILES.items() for name in names for entry in _read(root / folder / "core" / name)
    )


def _read(path: Path) -> Iterator[Entry]:
    for line in path.read_bytes().splitlines():
        head = _head.decode(line)
        yield Entry(f"{CORE}/{head.resourceType}/{head.id}", head.resourceType, head.url, head.version, line, CORE)
