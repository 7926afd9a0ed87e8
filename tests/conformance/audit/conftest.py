"""A server with authority and audit, the records of the SMART suite, and a way to ask its audit."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_asyncio

from fhir_server.auth.users import User, new_user, save_user
from tests.conformance.smart.conftest import Ehr, filled, started
from tests.plugins.only import but


@dataclass
class Audited:
    """The server under test and an auditor."""

    ehr: Ehr
    auditor: User
    folder: Path

    async def events(self, query: str = "", token: str = "") -> list[dict[str, Any]]:
        """Return the events of a search, once all that happened so far is recorded."""
        await asyncio.sleep(0.12)
        answer = await self.ehr.fhir(f"AuditEvent?{query}", token or await self.token())
        assert answer.status_code == 200, answer.text
        return [entry["resource"] for entry in answer.json().get("entry", [])]

    async def token(self) -> str:
        return await self.ehr.bearer("user/AuditEvent.crs", user=self.auditor)

    async def since(self) -> str:
        """Return a search for what happens from now on."""
        newest = await self.events("_count=1")
        return f"_count=100&_id:not={newest[0]['id']}&date=ge{newest[0]['recorded']}"


@pytest_asyncio.fixture
async def audited(tmp_path: Path) -> AsyncIterator[Audited]:
    # What plugins do by themselves with what is written would be recorded among what the tests look for.
    async with started(tmp_path, plugins_disabled=but()) as ehr:
        auditor = new_user("audrey", subject="Practitioner/audrey", roles=("auditor",))
        await save_user(ehr.desk, auditor)
        await filled(ehr)
        yield Audited(ehr, auditor, tmp_path)
