"""Desk: what the consumer and the deliverer of one process share: a bell, and the store of the default tenant."""

import asyncio
from typing import Any

from fhir_server.plugin_api import PluginStore


class Desk:
    """Made once for each process that leads."""

    def __init__(self) -> None:
        self._rung: set[str] = set()
        self._bell = asyncio.Event()
        self._opened = asyncio.Event()
        self._home: PluginStore | None = None

    def ring(self, tenant: str) -> None:
        """Say that there is something new in a tenant."""
        self._rung.add(tenant)
        self._bell.set()

    def nudge(self) -> None:
        """Say that something is due at another time than before."""
        self._bell.set()

    async def heard(self, patience: float | None) -> set[str]:
        """Wait for a ring, for so many seconds at most; return the tenants that rang."""
        try:
            await asyncio.wait_for(self._bell.wait(), patience)
        except TimeoutError:
            return set()
        self._bell.clear()
        rung, self._rung = self._rung, set()
        return rung

    def opened(self, home: PluginStore) -> None:
        """Give the store of the default tenant."""
        self._home = home
        self._opened.set()

    async def home(self) -> PluginStore:
        """Return the store of the default tenant, once the deliverer has it."""
        await self._opened.wait()
        assert self._home is not None
        return self._home


def desk_of(shared: dict[str, Any]) -> Desk:
    """Return the desk of this process."""
    desk: Desk = shared.setdefault("desk", Desk())
    return desk
