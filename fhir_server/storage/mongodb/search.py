"""Searches: what the server finds is held against the tree itself, page by page."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

from fhir_server.model.keys import ResourceKey
from fhir_server.search.match import matches, matching_contained
from fhir_server.search.query import Contained, Cursor, Node, Or, Search, SortKey
from fhir_server.storage.base import SearchTooCostly
from fhir_server.storage.mongodb.compile import Filter, keys_of_any
from fhir_server.storage.mongodb.document import Document
from fhir_server.storage.mongodb.resolve import resolve
from fhir_server.storage.mongodb.rows import ALONE, BATCH, Row, Snapshot
from fhir_server.storage.mongodb.sorting import SortValue, is_sortable, steps, values_of

MOST_SORTED: Final = 100_000
"""Matches that are sorted here where the server cannot."""
_SMALL_BATCH: Final = 50
"""Resources that come at once for a small page, of which not all may belong to it."""


@dataclass(frozen=True, slots=True)
class Match:
    """A row found: `container` is the type and id of the contained resource that was meant, `ordinal` its place."""

    row: Row
    values: tuple[SortValue, ...]
    container: tuple[str, str] | None = None
    ordinal: int = 0


async def resolved(snapshot: Snapshot, search: Search) -> Search:
    """Return the search with its chains, and those of what may be seen, looked up."""
    branches = {type_: await resolve(snapshot, node, type_) for type_, node in search.branches.items()}
    return replace(search, branches=branches)


async def page_of(snapshot: Snapshot, search: Search) -> list[Match]:
    """Return a page of a resolved search, and one match more if there is one."""
    wanted = search.count + 1
    if search.contained != Contained.FALSE or not is_sortable(search):
        found = [match for match in await _sorted(snapshot, search) if _is_behind(match, search)]
        return found[:wanted]
    found = []
    filter_ = filter_of(snapshot, search)
    for step in steps(search):
        match = {"$and": [part for part in (filter_.match, step.match) if part]}
        limit = wanted - len(found) if filter_.exact else 0
        batch = min(BATCH, max(_SMALL_BATCH, 2 * wanted))
        async with aclosing(snapshot.rows(match if match["$and"] else {}, step.order, limit, batch)) as rows:
            async for row in rows:
                if _holds(search, row):
                    found.append(Match(row, values_of(row, search.sort)))
                if len(found) >= wanted:
                    return found
    return found


async def each_of(snapshot: Snapshot, search: Search) -> AsyncGenerator[Row, None]:
    """Yield all resources that a resolved search finds, in no order; contained ones are left out."""
    async with aclosing(snapshot.rows(filter_of(snapshot, search).match)) as rows:
        async for row in rows:
            if _holds(search, row):
                yield row


async def count_of(snapshot: Snapshot, search: Search) -> int:
    """Return the number of matches of a resolved search."""
    if search.contained != Contained.FALSE:
        return len(await _sorted(snapshot, search))
    filter_ = filter_of(snapshot, search)
    if filter_.exact:
        match: Document = {"$and": [snapshot.current, filter_.match]}
        versions = snapshot.database["versions"]
        return await versions.count_documents(match, maxTimeMS=snapshot.limit, session=snapshot.session)
    number = 0
    async with aclosing(each_of(snapshot, search)) as rows:
        async for _ in rows:
            number += 1
    return number


async def keys_of(snapshot: Snapshot, search: Search) -> frozenset[ResourceKey]:
    """Return the keys of all matches of a search."""
    async with aclosing(each_of(snapshot, await resolved(snapshot, search))) as rows:
        return frozenset([row.key async for row in rows])


def filter_of(snapshot: Snapshot, search: Search) -> Filter:
    """Return the filter of all branches; types that ask the same are asked together."""
    groups: dict[Node, list[str]] = {}
    for type_, node in search.branches.items():
        if node != Or():
            groups.setdefault(node, []).append(type_)
    parts, exact = [], True
    for node, types in groups.items():
        part = snapshot.asked(types, node)
        exact = exact and part.exact
        parts.append(part.match)
    if not parts:
        return Filter({"_id": {"$in": []}})
    if len(parts) == 1:
        return Filter(parts[0], exact)
    parts = _gathered(parts)
    # The types in so many words: what walks them in order must not depend on what MongoDB makes of an `$or`.
    return Filter({"$and": [{"t": {"$in": list(search.branches)}}, *([{"$or": parts}] if parts[1:] else parts)]}, exact)


def _gathered(parts: Sequence[Document]) -> list[Document]:
    """Put those that ask for keys behind all of their keys: of an `$or` of many parts, as for a compartment, MongoDB
    tries few of all combinations of indexes, and most of them walk whole types."""
    keyed = [part for part in parts if keys_of_any([part])]
    keys = keys_of_any(keyed)
    if len(keyed) < 2 or not keys:
        return list(parts)
    others = [part for part in parts if part not in keyed]
    return [{"$and": [{"k": {"$in": keys}}, {"$or": keyed}]}, *others]


def cursor_of(txid: int, match: Match, search: Search) -> Cursor:
    """Return the place behind a match; a search of contained resources adds their place in the container."""
    values = match.values if search.contained == Contained.FALSE else (*match.values, match.ordinal)
    return Cursor(txid, values, match.row.version.pid)


def _holds(search: Search, row: Row) -> bool:
    return matches(search.branches[row.key.type], row.version, row.entries, ALONE)


async def _sorted(snapshot: Snapshot, search: Search) -> list[Match]:
    found: list[Match] = []
    if search.contained != Contained.TRUE:
        async with aclosing(each_of(snapshot, search)) as rows:
            async for row in rows:
                found.append(_few(found, Match(row, values_of(row, search.sort))))
    if search.contained != Contained.FALSE:
        async with aclosing(_contained(snapshot, search)) as inner:
            async for match in inner:
                found.append(_few(found, match))
    return sorted(found, key=lambda match: _place(match.values, match.row.version.pid, match.ordinal, search))


def _few(found: Sequence[Match], match: Match) -> Match:
    if len(found) >= MOST_SORTED:
        raise SearchTooCostly(f"more than {MOST_SORTED} matches would have to be sorted: narrow the search")
    return match


async def _contained(snapshot: Snapshot, search: Search) -> AsyncGenerator[Match, None]:
    """Find contained resources; whoever may not see the container sees nothing in it."""
    visible: dict[str, Node] = {}
    containers: Document = {"$and": [{"c": {"$exists": True}}, {"c": {"$in": list(search.branches)}}]}
    async with aclosing(snapshot.rows(containers)) as rows:
        async for row in rows:
            type_ = row.key.type
            if type_ not in visible:
                visible[type_] = await resolve(snapshot, search.visible.of(type_), type_)
            if matches(visible[type_], row.version, row.entries, ALONE):
                for match in _within(row, search.branches, search.sort):
                    yield match


def _within(row: Row, branches: Mapping[str, Node], keys: Sequence[SortKey]) -> Iterable[Match]:
    for type_, node in branches.items():
        ids = matching_contained(node, type_, row.version, row.entries, ALONE)
        for ordinal, (kind, id_, inner) in enumerate(row.entries.contained, 1):
            if kind == type_ and id_ in ids:
                values = values_of(Row(row.version, inner), keys)
                named = tuple(id_ if key.param == "_id" else value for key, value in zip(keys, values, strict=True))
                yield Match(row, named, (kind, id_), ordinal)


@dataclass(frozen=True, slots=True)
class _Ordered:
    """A sort value that knows its direction; no value comes last in both, numbers come before text."""

    value: SortValue
    descending: bool

    def __lt__(self, other: "_Ordered") -> bool:
        if self.value is None or other.value is None:
            return self.value is not None
        mine, theirs = (isinstance(self.value, str), self.value), (isinstance(other.value, str), other.value)
        return mine > theirs if self.descending else mine < theirs


def _place(values: Sequence[SortValue], pid: int, ordinal: int, search: Search) -> tuple[object, ...]:
    ordered = [_Ordered(value, key.descending) for value, key in zip(values, search.sort, strict=True)]
    return (*ordered, -pid if search.newest_first else pid, ordinal)


def _is_behind(match: Match, search: Search) -> bool:
    if search.after is None:
        return True
    values, ordinal = search.after.values, 0
    if search.contained != Contained.FALSE:
        *rest, last = values
        values, ordinal = tuple(rest), int(last or 0)
    bound = _place(values, search.after.pid, ordinal, search)
    return _place(match.values, match.row.version.pid, match.ordinal, search) > bound
