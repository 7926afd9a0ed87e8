"""House: the tenants that are open in a process, no more than may be; those that nobody asks for are closed again."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import Final

from fhir_server.errors import Busy
from fhir_server.interactions.tenant import Tenant
from fhir_server.storage.base import Store, StoreProvider
from fhir_server.tenancy.registration import DEFAULT

_TRIES: Final = 100
_WAIT: Final = 0.05
"""Seconds between tries to make room."""


class House:
    """The open tenants by name. The default one stays open; another only while it is used or there is room.

    Args:
        most: how many may be open beside the default one.
    """

    def __init__(self, stores: StoreProvider, most: int) -> None:
        self._stores, self._most = stores, most
        self._open: dict[str, Tenant] = {}
        self._leaving: list[Callable[[Tenant], Awaitable[None]]] = []
        self._in_use: Callable[[Store], bool] = lambda store: False
        self._lent: Counter[str] = Counter()
        self.turn = asyncio.Lock()
        """Held while a tenant is opened or closed."""

    def get(self, name: str) -> Tenant | None:
        """Return a tenant that is open."""
        return self._open.get(name)

    def all(self) -> Collection[Tenant]:
        """Return those that are open."""
        return self._open.values()

    def add(self, tenant: Tenant) -> None:
        """Take one in."""
        self._open[tenant.name] = tenant

    def when_closed(self, told: Callable[[Tenant], Awaitable[None]]) -> None:
        """Have it told of each tenant that is about to be closed."""
        self._leaving.append(told)

    def busy_by(self, in_use: Callable[[Store], bool]) -> None:
        """Have it asked whether a store is at work beside requests."""
        self._in_use = in_use

    async def make_room(self) -> None:
        """Close the tenant that was not asked for the longest, where as many are open as may be; in one's turn.

        Raises:
            Busy: all of them are at work.
        """
        for _ in range(_TRIES):
            if len(self._open) - (DEFAULT in self._open) < self._most:
                return
            idle = [tenant for tenant in self._open.values() if self._closable(tenant)]
            if idle:
                await self._close(min(idle, key=lambda tenant: tenant.used))
            else:
                await asyncio.sleep(_WAIT)
        raise Busy("all tenants that may be open at once are at work")

    async def close_those(self, wanted: Callable[[Tenant], bool]) -> int:
        """Close the tenants that are wanted closed and have nothing under way; return how many."""
        names = [tenant.name for tenant in self._open.values() if self._closable(tenant) and wanted(tenant)]
        closed = 0
        for name in names:
            async with self.turn:
                tenant = self._open.get(name)
                if tenant is not None and self._closable(tenant) and wanted(tenant):
                    await self._close(tenant)
                    closed += 1
        return closed

    def _closable(self, tenant: Tenant) -> bool:
        return tenant.name != DEFAULT and not tenant.held and not self._in_use(tenant.store)

    async def _close(self, tenant: Tenant) -> None:
        del self._open[tenant.name]
        for told in self._leaving:
            await told(tenant)
        await self._shut(tenant.name)

    @asynccontextmanager
    async def borrow(self, name: str) -> AsyncIterator[Store]:
        """Give the store of a tenant, whether it is served or not. Raises KeyError: there is none."""
        async with self.turn:
            store = await self._stores.open(name)
            self._lent[name] += 1
        try:
            yield store
        finally:
            async with self.turn:
                self._lent[name] -= 1
                await self._shut(name)

    async def _shut(self, name: str) -> None:
        """Close a store that is neither served nor lent."""
        if name not in self._open and self._lent[name] <= 0:
            del self._lent[name]
            await self._stores.shut(name)
