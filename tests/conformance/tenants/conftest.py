"""A server with some tenants in the process, seen by its operator and by anybody."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.api.application import Application
from fhir_server.app import create_app
from fhir_server.auth.clients import Client, save_client
from fhir_server.auth.desk import Desk
from fhir_server.auth.grants import new_grant, stored
from fhir_server.auth.secrets import digest
from fhir_server.auth.tokens import new_tokens
from fhir_server.serving.supervisor import as_operator
from fhir_server.settings import Settings
from tests.plugins.only import but

ORIGIN = "http://ehr.example"
SECRET = "a secret of the app of a tenant"
APP = Client("app", "App", "symmetric", scopes="user/*.cruds system/*.cruds", secrets=(digest(SECRET),))


@dataclass(frozen=True)
class House:
    """The server: `http` is anybody, `operator` who sits at the machine."""

    app: Application
    http: httpx.AsyncClient
    operator: httpx.AsyncClient

    async def made(self, name: str, **more: Any) -> dict[str, Any]:
        """Create a tenant; return what its creator is told."""
        answer = await self.operator.post("/auth/admin/tenants", json={"name": name, **more})
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def desk(self, tenant: str) -> Desk:
        """Look behind the counter of a tenant."""
        assert self.app.running is not None
        return await self.app.running.desk_of(tenant, base_of(tenant))

    async def token(self, tenant: str, scopes: str = "user/*.cruds", **more: Any) -> dict[str, str]:
        """Return the header of a client of a tenant, its token made behind the counter."""
        desk = await self.desk(tenant)
        await save_client(desk, APP)
        grant = new_grant(desk, APP.id, scopes, **more)
        pair = new_tokens(desk, grant, refreshing=False)
        await desk.put(stored(grant), *pair.changes)
        return {"authorization": f"Bearer {pair.access}"}


def base_of(tenant: str) -> str:
    return f"{ORIGIN}/fhir" if tenant == "default" else f"{ORIGIN}/t/{tenant}/fhir"


@asynccontextmanager
async def house(folder: Path, **settings: Any) -> AsyncIterator[House]:
    """Run a server."""
    given = {"auth": "smart", "durable": False, "demo": False, "plugins_disabled": but()} | settings
    app = create_app(Settings(data_dir=folder, **given))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=ORIGIN) as http,
        httpx.AsyncClient(transport=httpx.ASGITransport(app=as_operator(app)), base_url=ORIGIN) as operator,
    ):
        yield House(app, http, operator)


@pytest.fixture
async def open_house(tmp_path: Path) -> AsyncIterator[House]:
    """A server without authorization, with the tenants a and b."""
    async with house(tmp_path, auth="none") as made:
        await made.made("a")
        await made.made("b")
        yield made


@pytest.fixture
async def smart_house(tmp_path: Path) -> AsyncIterator[House]:
    """A server that asks for tokens, with the tenants a and b."""
    async with house(tmp_path) as made:
        await made.made("a")
        await made.made("b")
        yield made
