"""How a command gives a file to all nodes, or takes it from them, by the store that they share."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fhir_server.app import ENGINES, definitions_of, now
from fhir_server.settings import Settings
from fhir_server.storage.base import Store
from fhir_server.tenancy.registration import DEFAULT
from fhir_server.terminology.systems.shared import Shared, publish, shared, withdraw


async def give(settings: Settings, path: Path, system: str) -> None:
    """Give the file of a code system, `URL|VERSION`, to all nodes. Raises StoreError."""
    async with _home(settings) as home:
        await publish(home, path, system)


async def given(settings: Settings) -> Sequence[Shared]:
    """Return the files that all nodes have. Raises StoreError."""
    async with _home(settings) as home:
        return await shared(home)


async def take(settings: Settings, names: Sequence[str]) -> None:
    """Take files of code systems from all nodes. Raises StoreError."""
    async with _home(settings) as home:
        for name in names:
            await withdraw(home, name)


@asynccontextmanager
async def _home(settings: Settings) -> AsyncIterator[Store]:
    provider = ENGINES[settings.storage](settings, now, definitions_of(settings))
    try:
        yield await provider.open(DEFAULT)
    finally:
        await provider.close()
