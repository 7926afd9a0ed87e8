"""A server with the plugin of the tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from fhir_server.app import create_app
from fhir_server.settings import Settings

INSTALLED = Path(__file__).parent / "installed"


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server without authorization."""
    app = create_app(Settings(data_dir=tmp_path, durable=False, auth="none", plugins_dir=INSTALLED, demo=False))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield client
