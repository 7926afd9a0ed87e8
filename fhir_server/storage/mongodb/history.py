"""`_history` and the change feed: reads of the log in its order.

Spec: https://hl7.org/fhir/R4/http.html#history
"""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Final

from pymongo.errors import ExecutionTimeout

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.match import matches
from fhir_server.search.query import Node
from fhir_server.storage.base import HistoryPage, HistoryQuery
from fhir_server.storage.mongodb.document import BODY_ALONE, WITH_ENTRIES, Document, entries_of, version_of
from fhir_server.storage.mongodb.resolve import resolve
from fhir_server.storage.mongodb.rows import ALONE, Row, Snapshot, name_filter, names_filter

SCAN: Final = 5_000
"""Versions that one page of a restricted history looks at; the page is short then and says `next`."""
_PART_OF_LIMIT: Final = 10
_COUNTED: Final = 10_000
"""Versions that are counted for a page: a page must not cost more in a history that is longer."""


async def history(snapshot: Snapshot, query: HistoryQuery) -> HistoryPage:
    """Return one page of versions, newest first; `snapshot` is of the newest commit, or of page one."""
    match = _asked(snapshot, query)
    if query.visible.unrestricted:
        return await _unrestricted(snapshot, query, match)
    return await _restricted(snapshot, query, match)


def _asked(snapshot: Snapshot, query: HistoryQuery) -> list[Document]:
    parts: list[Document] = [{"x": {"$lte": snapshot.txid}}]
    if query.key is not None:
        parts.append(name_filter(query.key))
    if query.type is not None:
        parts.append({"t": query.type})
    if query.since is not None:
        parts.append({"u": {"$gte": query.since}})
    if query.at is not None:
        low, high = query.at
        parts += [{"u": {"$lt": high}}, {"$or": [{"end": {"$exists": False}}, {"end": {"$gt": low}}]}]
    return parts


async def _unrestricted(snapshot: Snapshot, query: HistoryQuery, match: list[Document]) -> HistoryPage:
    total = await _total(snapshot, {"$and": match})
    if query.count == 0:
        return HistoryPage((), None, snapshot.txid, total)
    found = [version_of(each) for each in await _page(snapshot, query, match, query.count + 1)]
    page = found[: query.count]
    more = len(found) > len(page)
    return HistoryPage(tuple(page), _place(page[-1]) if more else None, snapshot.txid, total)


async def _total(snapshot: Snapshot, match: Document) -> int | None:
    """Count, unless that takes long: a history of many thousands has no total, but pages."""
    limit = max(snapshot.limit // _PART_OF_LIMIT, 1)
    versions = snapshot.database["versions"]
    try:
        found = await versions.count_documents(match, limit=_COUNTED + 1, maxTimeMS=limit, session=snapshot.session)
    except ExecutionTimeout:
        return None
    return found if found <= _COUNTED else None


async def _page(
    snapshot: Snapshot, query: HistoryQuery, match: list[Document], limit: int, fields: Mapping[str, int] = BODY_ALONE
) -> list[Document]:
    """Return versions behind the place of the query: pids go the way of txids, so they alone give the order."""
    behind: list[Document] = [{"_id": {"$lt": query.before[1]}}] if query.before is not None else []
    # Versions of one resource go the way of pids too, and there is an index of them.
    order = [("_id", -1)] if query.key is None else [("v", -1)]
    async with aclosing(snapshot.documents({"$and": [*match, *behind]}, order, limit, fields)) as found:
        return [document async for document in found]


async def _restricted(snapshot: Snapshot, query: HistoryQuery, match: list[Document]) -> HistoryPage:
    """Judge each version by its own content and by the current one."""
    judge = _Judge(snapshot, query)
    looked = await _page(snapshot, query, match, SCAN, WITH_ENTRIES)
    shown: list[Version] = []
    for document in looked:
        if len(shown) == query.count:
            return HistoryPage(tuple(shown), _place(shown[-1]) if shown else None, snapshot.txid)
        if await judge.shows(document):
            shown.append(version_of(document))
    following = _place(version_of(looked[-1])) if len(looked) == SCAN else None
    total = len(shown) if following is None and query.before is None else None
    return HistoryPage(tuple(shown), following, snapshot.txid, total)


class _Judge:
    """Tells which versions may be seen; what it looks up it keeps for one page."""

    def __init__(self, snapshot: Snapshot, query: HistoryQuery) -> None:
        self._snapshot, self._query = snapshot, query
        self._nodes: dict[str, Node] = {}
        self._current: dict[ResourceKey, bool] = {}

    async def shows(self, document: Document) -> bool:
        """Tell whether a version and the current one of its resource may be seen."""
        if not await self._seen(document):
            return False
        key = ResourceKey(document["t"], document["i"])
        if key not in self._current:
            self._current[key] = await self._current_seen(key, document)
        return self._current[key]

    async def _current_seen(self, key: ResourceKey, document: Document) -> bool:
        match = name_filter(key)
        async with aclosing(self._snapshot.documents(match, [("v", -1)], 1, WITH_ENTRIES)) as found:
            newest = [each async for each in found]
        return await self._seen(newest[0] if newest else document)

    async def _seen(self, document: Document) -> bool:
        if document.get("erased"):
            return False
        type_ = document["t"]
        if type_ not in self._nodes:
            self._nodes[type_] = await resolve(self._snapshot, self._query.visible.of(type_), type_)
        row = Row(version_of(document), entries_of(document))
        return matches(self._nodes[type_], row.version, row.entries, ALONE)


async def changes(snapshot: Snapshot, after: int, limit: int) -> list[Version]:
    """Return whole commits after a txid, as many as `limit` versions hold, but at least one."""
    match: Document = {"x": {"$gt": after, "$lte": snapshot.txid}}
    order = [("x", 1), ("_id", 1)]
    async with aclosing(snapshot.documents(match, order, limit + 1, BODY_ALONE)) as found:
        versions = [version_of(each) async for each in found]
    if len(versions) <= limit:
        return versions
    cut = versions[-1].txid
    whole = [version for version in versions if version.txid != cut]
    if whole:
        return whole
    async with aclosing(snapshot.documents({"x": cut}, order, fields=BODY_ALONE)) as found:
        return [version_of(each) async for each in found]


async def revived(snapshot: Snapshot, versions: Sequence[Version]) -> frozenset[int]:
    """Return the pids of those that came after a deletion of their resource."""
    later = [each for each in versions if each.version > 1 and not each.deleted]
    if not later:
        return frozenset()
    match: Document = {**names_filter([each.key for each in later]), "gone": True}
    before = {(each.key, each.version - 1): each.pid for each in later}
    async with aclosing(snapshot.documents(match)) as found:
        ended = [(ResourceKey(each["t"], each["i"]), each["v"]) async for each in found]
    return frozenset(before[place] for place in ended if place in before)


def _place(version: Version) -> tuple[int, int]:
    return version.txid, version.pid
