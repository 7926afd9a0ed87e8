"""The engines that the conformance suite runs on: one line for each."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fhir_server.search.entries import IndexEntries
from fhir_server.settings import Settings
from fhir_server.storage.base import Store
from fhir_server.storage.memory import MemoryStore
from fhir_server.storage.sqlite.store import open_store
from tests.unit.encryption.kit import ready


@dataclass(frozen=True, slots=True)
class Bench:
    """What an engine is opened with: an empty folder, settings, a clock in milliseconds and the extractor."""

    folder: Path
    settings: Settings
    clock: Callable[[], int]
    extract: Callable[[str, bytes], IndexEntries]


async def _memory(bench: Bench) -> Store:
    return MemoryStore(bench.settings, bench.clock)


async def _sqlite(bench: Bench) -> Store:
    return await open_store(bench.folder / "sqlite", bench.settings, bench.clock, bench.extract)


async def _encrypted(bench: Bench) -> Store:
    """The embedded engine with encrypted pages, and each resource under the key of its patient."""
    data_dir = bench.folder / "data"
    settings, _ = ready(data_dir, **bench.settings.model_dump(exclude={"data_dir", "encryption"}))
    return await open_store(data_dir / "tenants" / "default", settings, bench.clock, bench.extract)


ENGINES: Mapping[str, Callable[[Bench], Awaitable[Store]]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "encrypted": _encrypted,
}
