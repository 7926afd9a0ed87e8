"""IndexedStore: any engine's store, whose searches an index helps.

Only searches, erasure and what makes index rows anew are different; all else is the engine's.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import instant
from fhir_server.search.entries import IndexEntries
from fhir_server.search.query import EVERYTHING, Cursor, Search
from fhir_server.storage.base import Capabilities, IndexUnavailable, Page, SnapshotGone, Store
from fhir_server.storage.base.counting import By, Counted, Counts
from fhir_server.storage.elasticsearch import mapping, state
from fhir_server.storage.elasticsearch.choosing import is_for_index
from fhir_server.storage.elasticsearch.compile import query_of
from fhir_server.storage.elasticsearch.connection import IndexDown, Refused
from fhir_server.storage.elasticsearch.counting import counted
from fhir_server.storage.elasticsearch.erasing import expunge, is_there, residue, take_out
from fhir_server.storage.elasticsearch.feeding import refill
from fhir_server.storage.elasticsearch.index import Meta, TenantIndex
from fhir_server.storage.elasticsearch.mapping import KEPT
from fhir_server.storage.elasticsearch.search import Asking, TooMany
from fhir_server.storage.elasticsearch.terms import name_of

_log: Final = logging.getLogger("fhir_server.search_index")

DOWN: Final = "The search index does not answer: the database searched alone."
BEHIND: Final = "The search index lags far behind: the database searched alone."
LAGS: Final = "The search index lags behind: what was written lately is not in this answer."
"""To who does not see all: how much was written, and when, is not for them."""
BUILDING: Final = "The search index is being built: the database searched alone."

_LOOK: Final = 0.1
"""Seconds between two looks whether the index has caught up."""

Extract = Callable[[str, bytes], IndexEntries]


class Unused(Exception):
    """The index is not asked; `said` is what the client must know of it."""

    def __init__(self, said: str = "") -> None:
        super().__init__(said)
        self.said = said


class IndexedStore:
    """One tenant: the store of an engine, and its index."""

    def __init__(self, store: Store, index: TenantIndex, ring: Callable[[], None] = lambda: None) -> None:
        self.inner, self.index, self._ring = store, index, ring
        self._settings = index.settings

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    @property
    def capabilities(self) -> Capabilities:
        """What the engine can do, and the index with it."""
        return replace(self.inner.capabilities, full_text=True, near=True, search_index="elasticsearch", counts=True)

    def asks(self, search: Search) -> bool:
        """Tell whether the index is asked."""
        return is_for_index(search, self.inner.capabilities.orders if self._settings.elasticsearch_sorts else None)

    async def search(self, search: Search) -> Page:
        """Return one page."""
        if not self.asks(search):
            return await self.inner.search(search)
        try:
            asking, notes = await self._asking(search)
            page = await asking.page()
        except (IndexDown, Refused, TooMany, Unused) as error:
            page, notes = await self.inner.search(search), _told(error)
        return replace(page, notes=(*page.notes, *notes)) if notes else page

    async def count(self, search: Search) -> int:
        """Return the exact number of matches."""
        if not self.asks(replace(search, sort=())):
            return await self.inner.count(search)
        try:
            asking, notes = await self._asking(replace(search, after=None))
            return await self.inner.count(search) if notes else await asking.count()
        except (IndexDown, Refused, TooMany, Unused):
            return await self.inner.count(search)

    async def counted(self, search: Search, by: Sequence[By], most: int) -> Counted | None:
        """Return the counts of what a search finds, by group: by the index, where it has all and the caller may see
        all; else by the engine, if it can."""
        alone = self.inner if self.inner.capabilities.counts and isinstance(self.inner, Counts) else None
        if all(search.visible.of(type_) == EVERYTHING for type_ in search.branches):
            try:
                txid = await self._caught_up(0 if alone else self._settings.elasticsearch_counts_wait)
                found = await counted(self.index, search, by, (txid, most))
                if found is not None:
                    return found
            except (IndexDown, Refused, Unused):
                pass
        return await alone.counted(search, by, most) if alone else None

    async def _caught_up(self, seconds: float) -> int:
        """Return the commit up to which the index has all, which is the newest. Raises Unused: not in time."""
        until = time.monotonic() + seconds
        while True:
            head = await self.inner.last_txid()
            meta = await self._usable(head)
            if head >= meta.floor and not await self.inner.count_changes(meta.applied):
                return head
            if time.monotonic() > until:
                raise Unused(BEHIND)
            await asyncio.sleep(_LOOK)

    async def explain(self, search: Search) -> dict[str, object]:
        """Return the engine's plan, and what the index is asked."""
        plan = await self.inner.explain(search)
        if not self.asks(search):
            return plan | {"index": "not asked"}
        return plan | {"index": query_of(search.branches, await self.inner.last_txid())}

    async def _asking(self, search: Search) -> tuple[Asking, tuple[str, ...]]:
        """Return how to search, and what the client must know. Raises Unused or IndexDown."""
        head = await self.inner.last_txid()
        meta = await self._usable(head)
        txid = search.after.txid if search.after else head
        if txid < meta.floor:
            raise Unused
        notes: tuple[str, ...] = ()
        if txid > meta.applied:
            behind = await self.inner.count_changes(meta.applied)
            if behind <= self._settings.elasticsearch_unindexed:
                fresh = await self._written(meta.applied, behind)
                return Asking(self.inner, self.index, search, txid, fresh, txid == head), ()
            if search.after is not None or search.sort:
                raise Unused(BEHIND)
            told = _lags(behind, meta) if search.visible.unrestricted else LAGS
            notes, txid = (told,), await self._readable(meta.applied)
        return Asking(self.inner, self.index, search, txid, newest=txid == head), notes

    async def _written(self, after: int, behind: int) -> frozenset[ResourceKey]:
        """Return what was written since a commit."""
        versions = await self.inner.changes(after, 2 * self._settings.elasticsearch_unindexed) if behind else ()
        return frozenset(version.key for version in versions)

    async def _readable(self, txid: int) -> int:
        """Return the instant, if the engine can still read it."""
        try:
            await self.inner.search(Search({}, after=Cursor(txid, (), 0)))
        except SnapshotGone:
            raise Unused(BEHIND) from None
        return txid

    async def _usable(self, head: int) -> Meta:
        meta = await self.index.meta()
        if meta is None or meta.mapping not in mapping.COMPATIBLE:
            raise Unused(BUILDING)
        if meta.applied > head and meta.applied > await self.inner.last_txid():  # the store was put back
            raise Unused(BUILDING)
        if meta.generation != await state.generation(self.inner):
            raise Unused(BUILDING)
        return meta

    async def purge(self, key: ResourceKey, *, history_only: bool) -> int:
        """Erase a resource's superseded versions, or all of it, in store and index. Raises IndexUnavailable."""
        current = await self.inner.read(key)
        upto = 0 if current is None else current.version - history_only
        return await self._erased([(name_of(key), upto)], partial(self.inner.purge, key, history_only=history_only))

    async def purge_history(self, keys: Sequence[ResourceKey]) -> int:
        """Erase the superseded versions of many resources, in store and index. Raises IndexUnavailable."""
        current = await self.inner.read_many(keys)
        wanted = [(name_of(key), version.version - 1) for key, version in current.items()]
        return await self._erased(wanted, partial(self.inner.purge_history, keys))

    async def _erased(self, wanted: Sequence[tuple[str, int]], purge: Callable[[], Any]) -> int:
        """Erase in both. What was begun is written down first, so that the feeder ends it if this process cannot."""
        wanted = [(name, upto) for name, upto in wanted if upto > 0]
        if not wanted:
            return int(await purge())
        if not await is_there(self.index.connection):
            raise IndexUnavailable("the search index does not answer: nothing was erased")
        key = await state.note_erasing(self.inner, wanted)
        number = int(await purge())
        try:
            await take_out(self.inner, self.index, wanted)
        except IndexDown as error:
            raise IndexUnavailable("erased in the store; in the search index as soon as it answers") from error
        await state.note_erased(self.inner, key)
        self._ring()
        return number

    async def residue(self, probes: Sequence[bytes]) -> tuple[int, ...]:
        """Return how often each text stands in the files of the record, and in the index."""
        found = await self.inner.residue(probes)
        try:
            beside = await residue(self.index, probes)
        except IndexDown as error:
            raise IndexUnavailable("the search index does not answer: it is unknown what is left in it") from error
        return tuple(one + other for one, other in zip(found, beside, strict=True))

    async def compact(self) -> None:
        """Write the record anew, and take what was deleted out of the files of the index."""
        await self.inner.compact()
        await asyncio.sleep(KEPT)
        try:
            await expunge(self.index)
        except IndexDown as error:
            raise IndexUnavailable("the search index does not answer: its files are as they were") from error

    async def reindex(self, types: Sequence[str], extract: Extract, progress: Callable[[int, int], None]) -> int:
        """Make the index rows of these types anew, in store and index; where the index does not answer it is built
        anew when it does, and is not asked before."""
        number = await self.inner.reindex(types, extract, progress)
        try:
            await refill(self.inner, self.index, types, extract)
        except IndexDown as error:
            _log.warning("the search index of %s is built anew: %s", self.index.tenant, error)
            await state.renew(self.inner)
        return number


def _told(error: Exception) -> tuple[str, ...]:
    if isinstance(error, Unused):
        return (error.said,) if error.said else ()
    return (DOWN,) if isinstance(error, IndexDown) else ()


def _lags(behind: int, meta: Meta) -> str:
    since = f" after {instant(meta.at)}" if meta.at else ""
    return f"The search index is {behind} changes behind: what was written{since} is not in this answer."
