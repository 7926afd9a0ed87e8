"""A server with authority, audit and the plugin, and a way to run its work now instead of on the clock."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fhir_server.auth.users import User, new_user, save_user
from fhir_server.context import Context
from fhir_server.dispatch import Server, context_of
from fhir_server.model.exchange import FhirRequest
from fhir_server.plugin_host.assembly import Assembly
from fhir_server.plugins import load_plugins
from tests.conformance.smart.conftest import BASE, Ehr, filled, started


@dataclass
class Watched:
    """The server under test, an auditor, and the scheduled work of the plugin by name."""

    ehr: Ehr
    auditor: User
    admin: User
    work: dict[str, Callable[[Any], Awaitable[None]]]
    context: Callable[[], Awaitable[Context]]
    server: Server

    async def run(self, name: str = "breaches") -> None:
        """Do scheduled work once all that happened so far is recorded."""
        await asyncio.sleep(0.12)
        assert self.server.recorder is not None
        await self.server.recorder.flush()
        await self.work[f"fhir_audit.{name}"](await self.context())

    async def token(self, user: User | None = None, scopes: str = "user/*.cruds") -> str:
        return await self.ehr.bearer(scopes, user=user or self.ehr.doctor)

    async def found(self, type_: str = "DetectedIssue", query: str = "") -> list[dict[str, Any]]:
        """Return the resources of a search as the administrator sees them."""
        answer = await self.ehr.fhir(f"{type_}?{query}", await self.token(self.admin))
        assert answer.status_code == 200, answer.text
        return [entry["resource"] for entry in answer.json().get("entry", [])]

    async def rules(self) -> list[str]:
        """Return the rules of all issues, sorted."""
        return sorted(issue["code"]["coding"][0]["code"] for issue in await self.found())


@asynccontextmanager
async def watched(folder: Path, core: dict[str, Any] | None = None, **settings: Any) -> AsyncIterator[Watched]:
    """Start a server with settings of the core and of the plugin."""
    seldom = {"look_every": 3_600.0}  # so that it is the test that says when
    async with started(folder, plugins={"fhir_audit": seldom | settings}, **(core or {})) as ehr:
        auditor = new_user("audrey", subject="Practitioner/audrey", roles=("auditor",))
        admin = new_user("boss", roles=("admin",))
        await save_user(ehr.desk, auditor)
        await save_user(ehr.desk, admin)
        await filled(ehr)
        assert ehr.app.running is not None
        server: Server = ehr.app.running.dispatch.args[0]  # type: ignore[attr-defined]  # it is a partial
        assembly = Assembly(load_plugins(ehr.app.settings))
        assembly.server = server
        work = {each.name: each.handler for each in assembly.scheduled()}
        request = FhirRequest("GET", "operation", BASE, grant="*")
        yield Watched(ehr, auditor, admin, work, partial(context_of, server, request), server)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Watched]:
    """A server with the plugin as it is without settings."""
    async with watched(tmp_path) as made:
        yield made
