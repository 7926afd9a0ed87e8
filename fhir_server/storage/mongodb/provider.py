"""One database for each tenant."""

import asyncio
import re
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from contextvars import Context
from functools import partial
from os import getpid
from typing import Final

from pymongo import MongoClient

from fhir_server.resilience import Breaker, ended, pauses
from fhir_server.settings import Settings
from fhir_server.storage.base import Lead, StoreError, StoreUnavailable
from fhir_server.storage.mongodb.bell import Bell
from fhir_server.storage.mongodb.connection import Server, client_of, faults, server_of
from fhir_server.storage.mongodb.document import Document
from fhir_server.storage.mongodb.leading import lead
from fhir_server.storage.mongodb.resilience import Guard
from fhir_server.storage.mongodb.store import MongoStore, open_store
from fhir_server.telemetry.health import Check

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
_DEFAULT: Final = "default"
_LONGEST: Final = 63
"""Bytes of the name of a database: https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions"""
_REMEMBERED: Final = 1.0
"""Seconds for which the list of tenants is kept."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 1.0
_PLAIN_WITHIN: Final = 2_000
"""Milliseconds in which a call must be answered that the event loop waits for."""


class MongoProvider:
    """Opens the database `PREFIX_TENANT`; `default` is made where it does not exist. `PREFIX` itself holds leases."""

    def __init__(self, settings: Settings, clock: Callable[[], int]) -> None:
        self._settings, self._clock = settings, clock
        self._client = client_of(settings)
        self._guard = Guard(self._client, settings)
        self._plain: MongoClient[Document] = MongoClient(
            settings.mongodb_url, serverSelectionTimeoutMS=_PLAIN_WITHIN, socketTimeoutMS=_PLAIN_WITHIN,
            connectTimeoutMS=_PLAIN_WITHIN, connect=False,
        )  # fmt: skip
        self._prefix = f"{settings.mongodb_database}_"
        self._holder = f"{socket.gethostname()}:{getpid()}:{secrets.token_hex(4)}"
        self._stores: dict[str, MongoStore] = {}
        self._opening = asyncio.Lock()
        self._server: Server | None = None
        self._listed: tuple[float, list[str]] = (0.0, [])
        self._listing: asyncio.Task[None] | None = None
        streams = lambda: self._server is not None and self._server.streams  # noqa: E731
        self._bell = Bell(self._client, self._prefix, self._databases, streams)

    def _databases(self) -> dict[str, str]:
        return {tenant: f"{self._prefix}{tenant}" for tenant in self.tenants()}

    def ring(self, tenant: str) -> None:
        """Have the process that listens, on whatever node, look at a tenant."""
        self._bell.ring(tenant, told=False)

    def listen(self, heard: Callable[[str], None]) -> AbstractAsyncContextManager[None]:
        """Have `heard(tenant)` called for each ring."""
        return self._bell.listen(heard)

    @asynccontextmanager
    async def lead(self, name: str) -> AsyncIterator[Lead]:
        """Lead under a name while the context lasts; when the process dies its lease runs out."""
        leases = self._client[self._settings.mongodb_database]["leases"]
        async with lead(leases, name, self._holder, self._settings.mongodb_lease) as leading:
            yield leading

    async def head(self, tenant: str) -> int:
        """Return the txid of a tenant's newest version. Raises KeyError."""
        found = await self._guard.again(partial(self._head_of, tenant))
        if found is None:
            raise KeyError(tenant)
        return int(found["written"])

    async def _head_of(self, tenant: str) -> Document | None:
        with faults():
            return await self._client[f"{self._prefix}{tenant}"]["meta"].find_one({"_id": "head"})

    def tenants(self) -> list[str]:
        """Return the tenants that have a database, and `default`.

        Once there is a list it is made anew beside: who asks waits for no server on the event loop.
        """
        at, found = self._listed
        if not found:
            with faults():
                return self._keep(self._plain.list_database_names())
        if time.monotonic() - at > _REMEMBERED and (self._listing is None or self._listing.done()):
            with suppress(RuntimeError):  # no loop: what is known is known
                self._listing = asyncio.get_running_loop().create_task(self._relist(), context=Context())
        return found

    def _keep(self, names: Sequence[str]) -> list[str]:
        tenants = {name.removeprefix(self._prefix) for name in names if name.startswith(self._prefix)}
        found = sorted({each for each in tenants if _NAME.fullmatch(each)} | {_DEFAULT})
        self._listed = (time.monotonic(), found)
        return found

    async def _relist(self) -> None:
        with suppress(StoreError):  # it stays as it is known, and is asked for again
            async with self._guard.call(None):
                with faults():
                    self._keep(await self._client.list_database_names())

    async def exists(self, tenant: str) -> bool:
        """Tell whether a tenant has a database."""
        if tenant not in self._listed[1]:
            await self._guard.again(self._list)
        return tenant in self._listed[1]

    async def _list(self) -> None:
        with faults():
            self._keep(await self._client.list_database_names())

    def health_checks(self) -> Sequence[Check]:
        """Return what `/health/ready` asks."""
        return (self._guard.check(),)

    def breakers(self) -> Sequence[Breaker]:
        """Return those that the numbers are of."""
        return (self._guard.breaker,)

    async def open(self, tenant: str) -> MongoStore:
        """Return the tenant's handle (the same one each time). Raises KeyError for an unknown tenant."""
        async with self._opening:
            if tenant not in self._stores:
                if not await self.exists(tenant):
                    raise KeyError(tenant)
                self._stores[tenant] = await self._opened(tenant)
            return self._stores[tenant]

    async def create(self, tenant: str) -> MongoStore:
        """Return the handle of a tenant, whose database is made where there is none. Raises KeyError: no name."""
        if not _NAME.fullmatch(tenant) or len(f"{self._prefix}{tenant}") > _LONGEST:
            raise KeyError(tenant)
        async with self._opening:
            if tenant not in self._stores:
                self._stores[tenant] = await self._opened(tenant)
                await self._guard.again(self._list)
            return self._stores[tenant]

    async def _opened(self, tenant: str) -> MongoStore:
        """Open a store. One that is opened first, as the node starts, is waited for a while: it may be starting too."""
        until = 0.0 if self._stores else time.monotonic() + 2 * self._settings.mongodb_timeout
        for pause in pauses(_FIRST_PAUSE, _LONGEST_PAUSE, even=True):
            try:
                return await self._found(tenant)
            except StoreUnavailable:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(pause)
        raise AssertionError("pauses have no end")

    async def _found(self, tenant: str) -> MongoStore:
        if self._server is None:
            self._server = await self._guard.again(partial(server_of, self._client))
        written = partial(self._bell.ring, tenant, told=True)
        name = f"{self._prefix}{tenant}"
        return await open_store(
            self._client, self._guard, self._server, name, self._settings, self._clock, self._holder, written
        )

    async def shut(self, tenant: str) -> None:
        """Close the handle of one tenant; the next `open` opens it again."""
        async with self._opening:
            store = self._stores.pop(tenant, None)
            if store is not None:
                await store.close()

    async def remove(self, tenant: str) -> None:
        """Remove a tenant's database."""
        if tenant == _DEFAULT or not _NAME.fullmatch(tenant):
            raise KeyError(tenant)
        await self.shut(tenant)
        async with self._guard.call(None):
            with faults():
                await self._client.drop_database(f"{self._prefix}{tenant}")
        await self._guard.again(self._list)

    def size(self, tenant: str) -> int:
        """Return the bytes of a tenant's database."""
        self._guard.admit()
        with faults():
            return int(self._plain[f"{self._prefix}{tenant}"].command("dbStats")["storageSize"])

    def written(self, tenant: str) -> float:
        """Return when a tenant was last written to, in seconds since 1970; 0 for never."""
        self._guard.admit()
        with faults():
            fields = {"time": 1, "noted": 1}
            found = self._plain[f"{self._prefix}{tenant}"]["meta"].find_one({"_id": "head"}, fields)
        return max(found["time"], found.get("noted", 0)) / 1000 if found else 0.0

    def is_open(self, tenant: str) -> bool:
        """Tell whether there is a handle here."""
        return tenant in self._stores

    async def close(self) -> None:
        """Close all."""
        for store in self._stores.values():
            await store.close()
        self._stores.clear()
        await ended(self._listing)
        await self._bell.close()
        await self._guard.close()
        await self._client.close()
        self._plain.close()
