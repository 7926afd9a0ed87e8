"""A server of its own for each test: how its users sign in is what the tests change."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.smart.conftest import Ehr, started


@pytest.fixture
async def ehr(tmp_path: Path) -> AsyncIterator[Ehr]:
    """A server with a doctor, a patient and some apps, and a browser."""
    async with started(tmp_path) as ehr:
        yield ehr
