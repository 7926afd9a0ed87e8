"""Feeding: the log of changes into an index, so that each change is in it once however often it is brought."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from fhir_server.model.version import Version
from fhir_server.search.entries import IndexEntries
from fhir_server.search.query import EVERYTHING, Cursor, Search
from fhir_server.storage.base import Store
from fhir_server.storage.elasticsearch.document import Document, document_of, id_of, loose, written
from fhir_server.storage.elasticsearch.index import Action, Meta, TenantIndex, advanced
from fhir_server.storage.elasticsearch.terms import name_of

_PAGE: Final = 500
_FIRST: Final = 1 << 62

Extract = Callable[[str, bytes], IndexEntries]


@dataclass(frozen=True, slots=True)
class Feeding:
    """Puts versions of one store into one index.

    latest: gives what makes index rows now; where that is another one once a batch was written, the batch is written
        again, for `refill` may have been there before it.
    """

    store: Store
    index: TenantIndex
    name: str
    extract: Extract
    latest: Callable[[], Awaitable[Extract]] | None = None

    async def step(self, meta: Meta) -> Meta:
        """Put the next versions of the log into the index; return how far it came then."""
        versions = await self.store.changes(meta.applied, self.index.settings.elasticsearch_batch)
        if not versions:
            return meta
        wanted = await self._needed(versions, meta.floor) if versions[-1].txid <= meta.floor else versions
        await self._put_by_latest(wanted)
        await self.index.refresh(self.name)
        done = advanced(meta, versions[-1].txid, versions[-1].last_updated)
        await self.index.put_meta(self.name, done)
        return done

    async def _put_by_latest(self, versions: Sequence[Version]) -> None:
        feeding = self
        await feeding.put(versions)
        while self.latest is not None and (latest := await self.latest()) != feeding.extract:
            feeding = replace(self, extract=latest)
            await feeding.put(versions)

    async def put(self, versions: Sequence[Version]) -> None:
        """Write the documents of versions, and mark those that they superseded."""
        current = [version for version in versions if not version.deleted]
        made = [_action(version, self._document(version)) for version in current]
        marks = list(_marks(versions))
        refused = await self.index.write(self.name, [*made, *marks])
        if bad := [current[at] for at in refused if at < len(current)]:
            await self.index.write(self.name, [*(_action(each, loose(each)) for each in bad), *marks])

    def _document(self, version: Version) -> Document:
        try:
            return document_of(version, self.extract(version.key.type, version.body.data))
        except (ValueError, KeyError, TypeError, AttributeError):
            return loose(version)

    async def _needed(self, versions: Sequence[Version], floor: int) -> Sequence[Version]:
        """Leave out what was superseded before the first instant that the index can be asked for."""
        current = await self.store.read_many(list({version.key for version in versions}))
        return [version for version in versions if not _is_past(version, current.get(version.key), floor)]


def _is_past(version: Version, current: Version | None, floor: int) -> bool:
    return current is None or (current.version > version.version and current.txid <= floor)


def _action(version: Version, document: Document) -> Action:
    at = {
        "_id": id_of(name_of(version.key), version.version),
        "version": written(version.txid),
        "version_type": "external_gte",
    }
    return {"index": at}, document


def _marks(versions: Iterable[Version]) -> Iterable[Action]:
    for version in versions:
        if version.version > 1:
            at = {"_id": id_of(name_of(version.key), version.version - 1), "retry_on_conflict": 3}
            yield {"update": at}, {"doc": {"to": version.txid, "until": version.last_updated}}


async def refill(store: Store, index: TenantIndex, types: Sequence[str], extract: Extract) -> None:
    """Make the documents of the current versions of these types anew, in all indexes of the tenant.

    A document that was marked as superseded meanwhile has a greater version, and stays. Raises IndexDown.
    """
    counts = await store.statistics()
    live, others = await index.names()
    for name in ([live] if live else []) + others:
        feeding = Feeding(store, index, name, extract)
        for type_ in sorted(counts):
            if not types or type_ in types:
                await _refill(feeding, type_)
        await index.refresh(name)


async def _refill(feeding: Feeding, type_: str) -> None:
    after: Cursor | None = None
    while True:
        page = await feeding.store.search(Search({type_: EVERYTHING}, count=_PAGE, after=after))
        made = [_action(version, feeding._document(version)) for version in page.versions]
        await feeding.index.write(feeding.name, made)
        if page.next is None:
            return
        # Each page reads its own instant: what a page of an older one would show was superseded, and is fed by the log.
        after = Cursor(await feeding.store.last_txid(), (), page.versions[-1].pid)


async def sweep(feeding: Feeding, meta: Meta, before: int) -> Meta:
    """Take out what was superseded before a time (milliseconds): no page link reads it any more."""
    query: Mapping[str, Any] = {"range": {"until": {"lt": before}}}
    gone: list[Action] = []
    floor = meta.floor
    async for hit in feeding.index.each(feeding.name, query, source=False, docvalue_fields=["to"], version=True):
        floor = max(floor, hit["fields"]["to"][0])
        at = {"_id": hit["_id"], "version": hit["_version"], "version_type": "external_gte"}
        gone.append(({"delete": at}, None))
    if not gone:
        return meta
    swept = replace(meta, floor=floor)
    await feeding.index.put_meta(feeding.name, swept)
    await feeding.index.write(feeding.name, gone)
    return swept
