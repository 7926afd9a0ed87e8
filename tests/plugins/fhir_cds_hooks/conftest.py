"""A server with CDS services that a plugin of the tests gives."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.app import create_app
from fhir_server.settings import Settings

INSTALLED = Path(__file__).parent / "installed"
INSTANCE = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"
BASE = "http://test/fhir"


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server without authorization."""
    plugins = {"fhir_cds_hooks": {"service_timeout": 1, "max_feedback": 3}}
    app = create_app(
        Settings(
            data_dir=tmp_path, durable=False, auth="none", plugins_dir=INSTALLED, demo=False, plugins=plugins,
            cors_origins=("https://ehr.example",),
        )
    )  # fmt: skip
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield client


def body(hook: str = "patient-view", patient: str = "ann", **more: Any) -> dict[str, Any]:
    """Return a call."""
    context = {"userId": "Practitioner/doc", "patientId": patient, **more.pop("context", {})}
    return {"hook": hook, "hookInstance": INSTANCE, "context": context, **more}
