"""Copying one store through a door: its log, its large objects, its audit, its records.

Each part goes on where an earlier run came to, so a move that was killed writes nothing twice; and where the store that
is left was written to since, the same steps catch up with it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from fhir_server.model.version import Version
from fhir_server.search.entries import IndexEntries
from fhir_server.serving.moving.entries import Indexing
from fhir_server.storage.base import Record, StorageDamaged
from fhir_server.storage.moving import Arrival, Door, Kept, KeptBlob, Logged

T = TypeVar("T")

VERSIONS: Final = 500
"""Versions of a step."""
_ROWS: Final = 2_000
_PAGE: Final = 500

Say = Callable[[str, int], None]
"""Told of a part of the work, and of how much of it was done now."""


@dataclass(frozen=True, slots=True)
class Copying:
    """One store on its way. `known`: the last pid there was when the first run began."""

    source: Kept
    door: Door
    indexing: Indexing
    known: int
    say: Say

    async def all(self) -> None:
        """Copy what is not there yet, and bring what changed up to date."""
        await self.log()
        await self.blobs()
        await self.audit()
        await self.records()

    async def log(self) -> None:
        """Copy the versions; while one page is made ready and written, the next is read."""
        after = (await self.door.end()).pid
        page = await self.source.log(after, VERSIONS)
        while page:
            following = asyncio.create_task(self.source.log(page[-1].version.pid, VERSIONS))
            try:
                arrivals = await self._arrivals(page)
                await self.door.take_versions(arrivals)
            except BaseException:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
                raise
            self.say("versions", len(page))
            page = await following

    async def _arrivals(self, page: Sequence[Logged]) -> list[Arrival]:
        ended = {each: await self._ended_by(each.version, page) for each in page if self._is_judged(each)}
        return await asyncio.to_thread(lambda: [self._arrival(each, ended.get(each)) for each in page])

    def _is_judged(self, logged: Logged) -> bool:
        """Tell whether it is a deletion that the other engine judges by what it ended."""
        return self.door.indexes_all and logged.version.deleted

    async def _ended_by(self, deletion: Version, page: Sequence[Logged]) -> Version | None:
        number = deletion.version - 1
        for each in page:
            if each.version.key == deletion.key and each.version.version == number:
                return each.version
        return await self.source.version(deletion.key, number)

    def _arrival(self, logged: Logged, before: Version | None) -> Arrival:
        version = logged.version
        judged = before if version.deleted else version
        wanted = self.door.indexes_all or logged.ended is None
        entries = IndexEntries()
        if wanted and judged is not None and not judged.deleted:
            entries = self.indexing.extract(version.key.type, judged.body.data)
        erased = self._is_judged(logged) and (before is None or before.deleted)
        return Arrival(version, entries, logged.ended, erased, version.version > 1 and version.pid > self.known)

    async def blobs(self) -> None:
        """Copy the large objects that are not there as they are, and remove those that were released."""
        there = _Ahead(self.door.blobs, lambda blob: blob.ref.id)
        after = ""
        while page := await self.source.blobs(after, _PAGE):
            for blob in page:
                for gone in await there.below(blob.ref.id):
                    await self.door.drop_blob(gone.ref.id)
                if await there.at(blob.ref.id) != blob:
                    await self._blob(blob)
                self.say("blobs", 1)
            after = page[-1].ref.id
        for gone in await there.below(None):
            await self.door.drop_blob(gone.ref.id)

    async def _blob(self, blob: KeptBlob) -> None:
        written = await self.door.take_blob(blob, await self.source.blob(blob.ref.id))
        if written != blob.ref:
            raise StorageDamaged(f"blob {blob.ref.id} is not what was written: its digest is another")

    async def audit(self) -> None:
        """Copy the rows of the audit log."""
        last, end = (await self.door.end()).audited, await self.source.end()
        at = max(last + 1, end.first_audited)
        while at <= end.audited:
            rows = await self.source.audited(at, min(at + _ROWS - 1, end.audited), self.indexing.keys)
            await self.door.take_audit(rows, end.first_audited)
            self.say("audit", len(rows))
            at += _ROWS

    async def records(self) -> None:
        """Bring the records up to date: there is no log of them, so all are compared."""
        for collection in await self.source.records.collections():
            await self.door.declare(collection)
            await self._collection(collection.name)

    async def _collection(self, name: str) -> None:
        there = _Ahead(lambda after, limit: _found(self.door, name, after, limit), lambda record: record.key)
        after = ""
        while page := await _found(self.source, name, after, _PAGE):
            put, gone = list[Record](), list[str]()
            for record in page:
                gone += [each.key for each in await there.below(record.key)]
                if await there.at(record.key) != record:
                    put.append(record)
            if put or gone:
                await self.door.take_records(name, put, gone)
            self.say("records", len(page))
            after = page[-1].key
        if gone := [each.key for each in await there.below(None)]:
            await self.door.take_records(name, (), gone)


async def _found(kept: Kept, name: str, after: str, limit: int) -> list[Record]:
    return await kept.records.find(name, after=after or None, limit=limit)


class _Ahead(Generic[T]):
    """What is at the other side, read in pages and walked along in the order of keys."""

    def __init__(self, page: Callable[[str, int], Awaitable[list[T]]], key: Callable[[T], str]) -> None:
        self._page, self._key = page, key
        self._waiting: deque[T] = deque()
        self._last, self._ended = "", False

    async def below(self, key: str | None) -> list[T]:
        """Take what stands before a key; None: all that is left."""
        found: list[T] = []
        while (first := await self._first()) is not None and (key is None or self._key(first) < key):
            found.append(self._waiting.popleft())
        return found

    async def at(self, key: str) -> T | None:
        """Take what stands at a key, if it is there."""
        first = await self._first()
        return self._waiting.popleft() if first is not None and self._key(first) == key else None

    async def _first(self) -> T | None:
        if not self._waiting and not self._ended:
            page = await self._page(self._last, _PAGE)
            self._ended = not page
            self._waiting.extend(page)
            if page:
                self._last = self._key(page[-1])
        return self._waiting[0] if self._waiting else None
