"""The fixtures of the storage suite: a `world` and its `store` for each engine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from fhir_server.storage.base import Store
from tests.conformance.storage.engines import EACH_TEST
from tests.conformance.storage.world import Clock, World, open_world


@pytest.fixture(params=EACH_TEST)
def engine(request: pytest.FixtureRequest) -> str:
    """The name of the engine under test."""
    return str(request.param)


@pytest_asyncio.fixture
async def world(engine: str, tmp_path: Path) -> AsyncIterator[World]:
    """An empty store with the standard settings."""
    made = await open_world(engine, tmp_path)
    yield made
    await made.store.close()


@pytest.fixture
def store(world: World) -> Store:
    """The store of the world."""
    return world.store


@pytest.fixture
def clock(world: World) -> Clock:
    """The clock of the world."""
    return world.clock
