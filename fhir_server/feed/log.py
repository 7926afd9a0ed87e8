"""LogReader: pages of a tenant's log, read once for all lanes that come by."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from fhir_server.feed.change import FeedChange, Method
from fhir_server.feed.records import Position
from fhir_server.model.version import Version
from fhir_server.storage.base import Store

PAGE: Final = 1_000
"""Versions of a page; a commit with more is a page of its own."""

_KEPT: Final = 3


@dataclass(frozen=True, slots=True)
class Page:
    """Changes in the order of the log, and where it ends; none: there is nothing more."""

    changes: Sequence[FeedChange]
    end: Position


class LogReader:
    """The log of one store. Pages that were read are never changed by later commits."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pages: dict[int, Page] = {}
        self._reading: dict[int, asyncio.Task[Page]] = {}

    async def after(self, position: Position) -> Page:
        """Return what comes after a position."""
        page = self._pages.get(position.txid) or await self._shared(position.txid)
        if not page.changes or page.changes[0].row.pid > position.pid:
            return page
        return Page([change for change in page.changes if change.row.pid > position.pid], page.end)

    def forget(self) -> None:
        """Keep no pages: what was erased meanwhile must not be shown."""
        self._pages.clear()

    async def _shared(self, txid: int) -> Page:
        """Read a page with whoever reads it too.

        One that had begun already may have looked before the commit that woke its second reader: that there is nothing
        more is believed of a read that begins now alone.
        """
        begun = self._reading.get(txid)
        if begun is not None:
            page = await asyncio.shield(begun)
            if page.changes:
                return page
        task = self._reading.get(txid)
        if task is None or task is begun:
            task = self._reading[txid] = asyncio.create_task(self._read(txid))
            task.add_done_callback(partial(self._done, txid))
        return await asyncio.shield(task)

    def _done(self, txid: int, task: asyncio.Task[Page]) -> None:
        if self._reading.get(txid) is task:
            del self._reading[txid]
        if not task.cancelled():
            task.exception()  # those who waited have it; they may have gone

    async def _read(self, txid: int) -> Page:
        newest = await self._store.last_txid()
        rows = await self._store.changes(txid, PAGE)
        if not rows:
            return Page((), Position(max(txid, newest), 0))
        revived = await self._store.revived(rows) if any(row.version > 1 for row in rows) else frozenset()
        changes = tuple(change_of(self._store, row, _method(row, revived)) for row in rows)
        page = Page(changes, Position(rows[-1].txid, rows[-1].pid))
        self._pages[txid] = page
        while len(self._pages) > _KEPT:
            del self._pages[next(iter(self._pages))]
        return page


def change_of(store: Store, row: Version, method: Method) -> FeedChange:
    """Return a version of a store as a change."""
    return FeedChange(row, method, partial(store.read_version, row.key, row.version - 1))


def _method(row: Version, revived: frozenset[int]) -> Method:
    if row.deleted:
        return "deleted"
    return "created" if row.version == 1 or row.pid in revived else "updated"
