"""Feeder: what keeps the indexes of all tenants up to date, in the process that leads."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from fhir_server.errors import FhirError
from fhir_server.resilience import pauses
from fhir_server.settings import Settings
from fhir_server.storage.base import Store, StoreError, StoreProvider
from fhir_server.storage.elasticsearch import mapping, state
from fhir_server.storage.elasticsearch.connection import Connection, IndexDown
from fhir_server.storage.elasticsearch.erasing import finish
from fhir_server.storage.elasticsearch.feeding import Extract, Feeding, sweep
from fhir_server.storage.elasticsearch.index import Meta, TenantIndex
from fhir_server.telemetry.numbers import INDEX_LAG

_log: Final = logging.getLogger("fhir_server.search_index")
_UPKEEP: Final = 60.0
_LONGEST: Final = 30.0
_TWICE: Final = 2_000


class Held(Protocol):
    """A tenant that is kept open."""

    @property
    def store(self) -> Store:
        """Its store, the engine's own."""


class Host(Protocol):
    """What feeding needs of the server around it."""

    def held(self, tenant: str) -> AbstractAsyncContextManager[Held]:
        """Keep a tenant open. Raises KeyError: there is none; FhirError: it is not served now."""


ExtractOf = Callable[[str], Awaitable[Extract]]
"""`extract_of(tenant)` gives what makes index rows by the search parameters that a tenant has now; it is equal while
these are the same."""


@dataclass(slots=True)
class _Known:
    """What is known of a tenant: up to where all is done, since when there is more, when it was last tidied up, and
    until when that is worth it."""

    txid: int = -1
    since: float = 0.0
    tidied: float = 0.0
    until: float = math.inf

    def is_due(self) -> bool:
        """Tell whether it is to be tidied up."""
        return self.tidied + _UPKEEP < time.monotonic() < self.until

    @property
    def lag(self) -> float:
        """Seconds for which the index has lacked something."""
        return time.monotonic() - self.since if self.since else 0.0


class Feeder:
    """Feeds all tenants in turn, a batch each, so that a large one keeps none waiting."""

    def __init__(self, stores: StoreProvider, connection: Connection, host: Host, extract_of: ExtractOf) -> None:
        self._stores, self._connection, self._host, self._extract_of = stores, connection, host, extract_of
        self._settings: Settings = connection.settings
        self._known: dict[str, _Known] = {}
        self._rung = asyncio.Event()

    async def run(self) -> None:
        """Feed until cancelled; in the process that leads."""
        waits = pauses(1.0, _LONGEST, even=True)
        async with self._stores.listen(self._heard):
            while True:
                self._rung.clear()
                try:
                    more = await self._round()
                except IndexDown as error:
                    _log.warning("the search index is not fed: %s", error)
                    await asyncio.sleep(next(waits))
                    continue
                finally:
                    INDEX_LAG.set(max((each.lag for each in self._known.values()), default=0.0))
                waits = pauses(1.0, _LONGEST, even=True)
                if not more:
                    await self._rest()

    def _heard(self, tenant: str) -> None:
        self._rung.set()
        if tenant in self._known:
            self._known[tenant].until = math.inf

    async def _rest(self) -> None:
        """Wait until something was written, but a little at least, so that several commits share a batch."""
        await asyncio.sleep(self._settings.elasticsearch_pause)
        try:
            async with asyncio.timeout(self._settings.feed_fallback):
                await self._rung.wait()
        except TimeoutError:
            return

    async def _round(self) -> bool:
        """Look at each tenant once; tell whether there is more to do."""
        more = False
        for tenant in await asyncio.to_thread(self._stores.tenants):
            try:
                more = await self._tenant(tenant) or more
            except (KeyError, FhirError):  # not served now
                self._known.pop(tenant, None)
            except StoreError as error:
                _log.warning("the search index of %s waits: %s", tenant, error)
        return more

    async def _tenant(self, tenant: str) -> bool:
        known = self._known.setdefault(tenant, _Known())
        head = await self._stores.head(tenant)
        due = known.is_due()
        if known.txid >= head and not due:
            return False
        if known.txid < head:
            known.since = known.since or time.monotonic()
            known.until = math.inf
        index = TenantIndex(self._connection, tenant)
        async with self._host.held(tenant) as held:
            store: Store = getattr(held.store, "inner", held.store)
            if due:
                await finish(store, index)
            latest = partial(self._extract_of, tenant)
            keeping = Keeping(store, index, await latest(), latest)
            more = await keeping.step(tidy=due)
        known.txid = -1 if more else head
        known.since = known.since if more else 0.0
        if due:
            known.tidied = time.monotonic()
            known.until = min(known.until, known.tidied + _TWICE / 1_000 * self._settings.link_life + 2 * _UPKEEP)
        return more


@dataclass(frozen=True, slots=True)
class Keeping:
    """Keeps one tenant's index: fed, and built anew where it is not what it must be."""

    store: Store
    index: TenantIndex
    extract: Extract
    latest: Callable[[], Awaitable[Extract]] | None = None

    async def step(self, *, tidy: bool = False) -> bool:
        """Do a batch; tell whether there is more. Raises IndexDown."""
        live, others = await self.index.names()
        head, generation = await self.store.last_txid(), await state.generation(self.store)
        meta = await self.index.meta_of(live) if live else None
        more = False
        if live and meta and self._is_sound(meta, head, generation):
            meta = await self._fed(live, meta, tidy=tidy)
            more = bool(await self.store.count_changes(meta.applied))
            if self._is_wanted(meta):
                await self.index.delete(*others)
                return more
        return await self._build(live, others, head, generation) or more

    def _is_sound(self, meta: Meta, head: int, generation: str) -> bool:
        """Tell whether an index may be asked. One that is ahead of its store is of a store that was put back."""
        return meta.mapping in mapping.COMPATIBLE and meta.generation == generation and meta.applied <= head

    def _is_wanted(self, meta: Meta) -> bool:
        return meta.mapping == mapping.VERSION and meta.build == self.index.settings.elasticsearch_build

    async def _fed(self, name: str, meta: Meta, *, tidy: bool) -> Meta:
        feeding = Feeding(self.store, self.index, name, self.extract, self.latest)
        meta = await feeding.step(meta)
        if tidy and meta.at:
            meta = await sweep(feeding, meta, meta.at - _TWICE * self.index.settings.link_life)
        return meta

    async def _build(self, live: str | None, others: list[str], head: int, generation: str) -> bool:
        """Go on with a new index beside the one that is asked, and have it asked once it has caught up."""
        name, meta, left = await self._begun(others, head, generation)
        await self.index.delete(*left)
        if name is None:
            number = 1 + max((mapping.number_of(each) for each in [*others, *([live] if live else [])]), default=0)
            meta = Meta(floor=head, generation=generation, build=self.index.settings.elasticsearch_build)
            name = await self.index.create(number, meta)
            _log.info("the search index of %s is being built", self.index.tenant)
        assert meta is not None
        meta = await self._fed(name, meta, tidy=False)
        if await self.store.count_changes(meta.applied):
            return True
        await self.index.turn(name, live)
        _log.info("the search index of %s is built", self.index.tenant)
        return live is not None

    async def _begun(self, others: list[str], head: int, generation: str) -> tuple[str | None, Meta | None, list[str]]:
        """Return the index that is being built, and those that are of no use."""
        for name in reversed(others):
            meta = await self.index.meta_of(name)
            if meta and self._is_sound(meta, head, generation) and self._is_wanted(meta):
                return name, meta, [each for each in others if each != name]
        return None, None, others
