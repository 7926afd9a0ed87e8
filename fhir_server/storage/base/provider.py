"""StoreProvider: the stores of all tenants, and how the processes that share them find each other."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from fhir_server.search.entries import IndexEntries
from fhir_server.storage.base.store import Store


@dataclass(frozen=True, slots=True)
class Lead:
    """Leadership, for as long as `lost` is not set."""

    lost: asyncio.Event = field(default_factory=asyncio.Event)


class StoreProvider(Protocol):
    """Opens the Store of each tenant, and lets the processes that share them find each other.

    Each commit that changes a resource rings, and so may anybody who wants a tenant looked at. A ring is a hint:
    several may become one, and one may be lost, so who listens also looks now and then.
    """

    def ring(self, tenant: str) -> None:
        """Have whoever listens, in any process, look at a tenant."""

    def listen(self, heard: Callable[[str], None]) -> AbstractAsyncContextManager[None]:
        """Have `heard(tenant)` called on the event loop for each ring; in the process that leads `background`."""

    def lead(self, name: str) -> AbstractAsyncContextManager[Lead]:
        """Wait until nobody else leads under this name, then lead while the context lasts.

        One process leads at a time. When it ends, however it ends, another that waits takes over at once, or when its
        lease has run out. Who sees `lost` set must stop; its writes are refused by the revisions that they expect.
        """

    def tenants(self) -> list[str]:
        """Return the tenants that have a store, sorted."""

    def written(self, tenant: str) -> float:
        """Return when a tenant was last written to, in seconds since 1970, without opening it; 0 for never."""

    async def head(self, tenant: str) -> int:
        """Return the txid of a tenant's newest version, without keeping it open; 0 for none."""

    async def open(self, tenant: str) -> Store:
        """Return the tenant's handle (the same one each time). Raises KeyError for an unknown tenant."""

    async def create(self, tenant: str) -> Store:
        """Return the handle of a tenant, whose store is made where there is none."""

    async def shut(self, tenant: str) -> None:
        """Close the handle of one tenant, if it is open; the next `open` opens it again."""

    async def remove(self, tenant: str) -> None:
        """Remove a tenant's store with all that is in it."""

    def size(self, tenant: str) -> int:
        """Return the bytes that a tenant's store takes."""

    async def close(self) -> None:
        """Close all."""


class RunsOn(Protocol):
    """Work that goes on for ever, in the process that leads."""

    async def run(self) -> None:
        """Go on until cancelled."""


@runtime_checkable
class Fed(Protocol):
    """A provider that keeps something beside its stores, which the log of changes feeds."""

    def feeder(
        self,
        host: Any,
        extract_of: Callable[[str], Awaitable[Callable[[str, bytes], IndexEntries]]],
    ) -> RunsOn:
        """Return what feeds it. host: keeps tenants open (`held`). extract_of: gives what makes index rows by the
        search parameters that a tenant has now."""
