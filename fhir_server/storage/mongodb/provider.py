"""One database for each tenant."""

import asyncio
import re
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from os import getpid
from typing import Final

from pymongo import MongoClient

from fhir_server.settings import Settings
from fhir_server.storage.base import Lead
from fhir_server.storage.mongodb.bell import Bell
from fhir_server.storage.mongodb.connection import Server, client_of, faults, server_of
from fhir_server.storage.mongodb.document import Document
from fhir_server.storage.mongodb.leading import lead
from fhir_server.storage.mongodb.store import MongoStore, open_store

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
_DEFAULT: Final = "default"
_REMEMBERED: Final = 1.0
"""Seconds for which the list of tenants is kept."""


class MongoProvider:
    """Opens the database `PREFIX_TENANT`; `default` is made where it does not exist. `PREFIX` itself holds leases."""

    def __init__(self, settings: Settings, clock: Callable[[], int]) -> None:
        self._settings, self._clock = settings, clock
        self._client = client_of(settings)
        self._plain: MongoClient[Document] = MongoClient(
            settings.mongodb_url, serverSelectionTimeoutMS=settings.mongodb_timeout * 1000, connect=False
        )
        self._prefix = f"{settings.mongodb_database}_"
        self._holder = f"{socket.gethostname()}:{getpid()}:{secrets.token_hex(4)}"
        self._stores: dict[str, MongoStore] = {}
        self._opening = asyncio.Lock()
        self._server: Server | None = None
        self._listed: tuple[float, list[str]] = (0.0, [])
        self._bell = Bell(self._client, self._databases, lambda: self._server is not None and self._server.streams)

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
        with faults():
            found = await self._client[f"{self._prefix}{tenant}"]["meta"].find_one({"_id": "head"})
        if found is None:
            raise KeyError(tenant)
        return int(found["written"])

    def tenants(self) -> list[str]:
        """Return the tenants that have a database, and `default`."""
        at, found = self._listed
        if not found or time.monotonic() - at > _REMEMBERED:
            with faults():
                names = self._plain.list_database_names()
            tenants = {name.removeprefix(self._prefix) for name in names if name.startswith(self._prefix)}
            found = sorted({each for each in tenants if _NAME.fullmatch(each)} | {_DEFAULT})
            self._listed = (time.monotonic(), found)
        return found

    def exists(self, tenant: str) -> bool:
        """Tell whether a tenant has a database."""
        return tenant in self.tenants()

    async def open(self, tenant: str) -> MongoStore:
        """Return the tenant's handle (the same one each time). Raises KeyError for an unknown tenant."""
        async with self._opening:
            if tenant not in self._stores:
                if not self.exists(tenant):
                    raise KeyError(tenant)
                self._stores[tenant] = await self._opened(tenant)
            return self._stores[tenant]

    async def create(self, tenant: str) -> MongoStore:
        """Return the handle of a tenant, whose database is made where there is none. Raises KeyError: no name."""
        if not _NAME.fullmatch(tenant):
            raise KeyError(tenant)
        async with self._opening:
            if tenant not in self._stores:
                self._stores[tenant] = await self._opened(tenant)
                self._listed = (0.0, [])
            return self._stores[tenant]

    async def _opened(self, tenant: str) -> MongoStore:
        if self._server is None:
            self._server = await server_of(self._client)
        written = partial(self._bell.ring, tenant, told=True)
        name = f"{self._prefix}{tenant}"
        return await open_store(self._client, self._server, name, self._settings, self._clock, self._holder, written)

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
        with faults():
            await self._client.drop_database(f"{self._prefix}{tenant}")
        self._listed = (0.0, [])

    def size(self, tenant: str) -> int:
        """Return the bytes of a tenant's database."""
        with faults():
            return int(self._plain[f"{self._prefix}{tenant}"].command("dbStats")["storageSize"])

    def written(self, tenant: str) -> float:
        """Return when a tenant was last written to, in seconds since 1970; 0 for never."""
        with faults():
            found = self._plain[f"{self._prefix}{tenant}"]["meta"].find_one({"_id": "head"}, {"time": 1})
        return found["time"] / 1000 if found else 0.0

    def is_open(self, tenant: str) -> bool:
        """Tell whether there is a handle here."""
        return tenant in self._stores

    async def close(self) -> None:
        """Close all."""
        for store in self._stores.values():
            await store.close()
        self._stores.clear()
        await self._bell.close()
        await self._client.close()
        self._plain.close()
