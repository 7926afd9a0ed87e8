"""Fixtures: a fresh server for each test, on each engine."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from fhir_server.settings import Settings
from tests.conformance.http.fhir import ENGINES, Fhir, Serve, opened


@pytest.fixture(params=ENGINES)
async def serve(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Serve]:
    """Starts servers with settings of choice: `await serve(update_create=False)`."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Fhir:
            chosen = Settings(data_dir=tmp_path, durable=False, **settings)
            return await stack.enter_async_context(opened(request.param, chosen))

        yield start


@pytest.fixture
async def fhir(serve: Serve) -> Fhir:
    """A client of a server with the standard settings."""
    return await serve()
