"""Desk: what the consumer and the deliverer of one process share: a bell, and the store of the default tenant."""

import asyncio
from typing import Any, NamedTuple

from fhir_server.plugin_api import PluginStore


class Ring(NamedTuple):
    """What there is something new for; neither a group nor a member: for all of the tenant."""

    tenant: str
    group: str = ""
    member: str = ""


class Desk:
    """Made once for each process that leads."""

    def __init__(self) -> None:
        self._rung: set[Ring] = set()
        self._bell = asyncio.Event()
        self._opened = asyncio.Event()
        self._home: PluginStore | None = None

    def ring(self, tenant: str, *, group: str = "", member: str = "") -> None:
        """Say that there is something new for a group, for one subscription, or for all of a tenant."""
        self._rung.add(Ring(tenant, group, member))
        self._bell.set()

    def nudge(self) -> None:
        """Say that something is due at another time than before."""
        self._bell.set()

    async def heard(self, patience: float | None) -> "set[Ring]":
        """Wait for a ring, for so many seconds at most; return what rang."""
        try:
            # Not wait_for: in Python 3.11 it loses a cancellation that comes together with the ring.
            async with asyncio.timeout(patience):
                await self._bell.wait()
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
