"""Searches by the index: it names candidates in the order of the search, the engine decides.

Nothing that the index says is shown or counted. Its candidates, and what was written since it was last fed, are put to
the engine as `And(tree, Ids(candidates))` at the instant that the search reads, so visibility, includes, order and
places of page links are those of the engine alone.
"""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Final

from fhir_server.model.keys import ResourceKey
from fhir_server.search.query import EVERYTHING, And, Cursor, Ids, Node, Search, SortKey, Total
from fhir_server.settings import Settings
from fhir_server.storage.base import Page, Store
from fhir_server.storage.elasticsearch.compile import query_of
from fhir_server.storage.elasticsearch.document import place_of, sort_value
from fhir_server.storage.elasticsearch.index import TenantIndex
from fhir_server.storage.elasticsearch.terms import field

_FIRST: Final = 1 << 62
"""A pid before all others, newest first: a cursor there reads everything as of its commit. Where an order was asked for
no value is before all others on every engine."""
_CHUNK: Final = 500
_COUNTED: Final = 5_000
_TRIES: Final = 3

Keys = Iterable[ResourceKey]
Batch = tuple[list[ResourceKey], bool]


class TooMany(Exception):
    """There are more candidates than it is worth to look at; the engine searches alone."""


@dataclass(frozen=True, slots=True)
class Asking:
    """One search at one instant. fresh: resources written since the index was fed. newest: it is that of the store."""

    store: Store
    index: TenantIndex
    search: Search
    txid: int
    fresh: frozenset[ResourceKey] = frozenset()
    newest: bool = True

    @property
    def settings(self) -> Settings:
        """Those of the index."""
        return self.index.settings

    async def page(self) -> Page:
        """Return the page. Raises IndexDown, Refused or TooMany."""
        if not self.search.count:
            return Page(txid=self.txid, total=await self.count())
        asking = self
        for _ in range(_TRIES):
            page, whole = await asking._shown()
            changed = await asking._changed(page.txid)
            if not changed:
                return replace(page, total=await asking._total(page, whole=whole), estimated=False)
            asking = replace(asking, txid=page.txid, fresh=asking.fresh | changed)
        raise TooMany

    async def _shown(self) -> tuple[Page, bool]:
        """Return the page, and whether nothing else was a candidate. Mostly the first candidates are enough for it."""
        search = replace(self.search, total=Total.NONE)
        if not self.fresh:
            async with aclosing(self._batches(self._enough)) as batches:
                batch, last = await anext(batches)
            page = await self._of_engine(search, batch)
            if last or page.next is not None:
                return page, last
        chosen, whole = await self._chosen()
        return await self._of_engine(search, chosen | self.fresh), whole

    @property
    def _enough(self) -> int:
        """How many candidates are asked for at first: some are of no use."""
        return self.search.count + self.search.count // 4 + 9

    async def _changed(self, txid: int) -> frozenset[ResourceKey]:
        """Return what was written between the instant of the candidates and the one that the engine has read, for the
        first page of an ordered search reads its newest."""
        if txid == self.txid:
            return frozenset()
        most = self.settings.elasticsearch_unindexed + 1
        versions = await self.store.changes(self.txid, most)
        if len(versions) >= most:
            raise TooMany
        keys = {version.key for version in versions if version.txid <= txid}
        return frozenset(key for key in keys - self.fresh if key.type in self.search.branches)

    async def _total(self, page: Page, *, whole: bool) -> int | None:
        if whole and page.next is None and self.search.after is None:
            return len(page.versions)
        if self._is_whole():
            counts = await self.store.statistics()
            return sum(counts.get(type_, 0) for type_ in self.search.branches)
        return await self.count() if self.search.total is not Total.NONE else None

    def _is_whole(self) -> bool:
        """Tell whether everything of some types is asked for, whose number is known."""
        everything = all(node == EVERYTHING for node in self.search.branches.values())
        return everything and self.search.visible.unrestricted and self.newest

    async def count(self) -> int:
        """Return the exact number of matches at the instant. Raises IndexDown or TooMany."""
        number, seen = await self._number(sorted(self.fresh)), set[ResourceKey]()
        async with aclosing(self._batches(_COUNTED, ordered=False)) as batches:
            async for batch, _ in batches:
                if len(seen) + len(batch) > self.settings.elasticsearch_counted:
                    raise TooMany
                number += await self._number([key for key in batch if key not in seen])
                seen.update(batch)
        return number

    async def _chosen(self) -> tuple[set[ResourceKey], bool]:
        """Return candidates among which the page, and the row behind it, certainly are; and whether they are all."""
        wanted, found, examined = self.search.count + 1, set[ResourceKey](), 0
        async with aclosing(self._batches(self._enough)) as batches:
            async for batch, last in batches:
                examined += len(batch)
                if last:
                    return found | set(batch), True
                if examined > self.settings.elasticsearch_candidates:
                    raise TooMany
                true = await self._true(batch)
                for key in batch:
                    if key in true:
                        found.add(key)
                        if len(found) == wanted:
                            return found, False
        return found, True

    async def _batches(self, size: int, *, ordered: bool = True) -> AsyncGenerator[Batch, None]:
        """Yield candidates behind the place of the page link, in the order of the search, and whether they are the
        last ones; what was written since is left out."""
        sort = self.search.sort if ordered else ()
        after = place(self.search) if ordered else None
        query = query_of(self.search.branches, self.txid)
        while True:
            hits = await self._hits(query, _order(sort, newest_first=self.search.newest_first), size, after)
            last = len(hits) < size
            keys = dict.fromkeys(ResourceKey(*place_of(hit)) for hit in hits)
            yield [key for key in keys if key not in self.fresh], last
            if last:
                return
            after, size = hits[-1]["sort"], max(size, min(size * 2, _CHUNK))

    async def _hits(
        self, query: Mapping[str, Any], sort: Sequence[Any], size: int, after: Sequence[Any] | None
    ) -> Sequence[Mapping[str, Any]]:
        behind = {} if after is None else {"search_after": after}
        body = {
            "query": query, "sort": sort, "size": size, "_source": False, "track_total_hits": False,
            "docvalue_fields": ["t", "i"], **behind,
        }  # fmt: skip
        found: Sequence[Mapping[str, Any]] = (await self.index.search(body))["hits"]["hits"]
        return found

    async def _true(self, batch: Sequence[ResourceKey]) -> frozenset[ResourceKey]:
        """Return those of the candidates that the search finds."""
        page = await self._of_engine(_plain(self.search, len(batch)), batch)
        return frozenset(version.key for version in page.versions)

    async def _number(self, batch: Sequence[ResourceKey]) -> int:
        number = 0
        for start in range(0, len(batch), _COUNTED):
            chunk = batch[start : start + _COUNTED]
            asked = replace(_plain(self.search, 1), total=Total.ACCURATE)
            page = await self._of_engine(asked, chunk)
            number += len(page.versions) if page.total is None else page.total
        return number

    async def _of_engine(self, search: Search, keys: Keys) -> Page:
        """Ask the engine about some resources alone, at the instant."""
        ids: dict[str, list[str]] = {}
        for key in keys:
            ids.setdefault(key.type, []).append(key.id)
        branches: dict[str, Node] = {
            type_: And((Ids(tuple(ids[type_])), node)) for type_, node in search.branches.items() if type_ in ids
        }
        if not branches:
            return Page(txid=self.txid)
        after = search.after or (None if search.sort else Cursor(self.txid, (), _FIRST))
        return await self.store.search(replace(search, branches=branches, after=after))


def _plain(search: Search, count: int) -> Search:
    return Search(search.branches, count=max(count, 1), visible=search.visible)


def place(search: Search) -> list[Any] | None:
    """Return the place of a page link in the order of the index."""
    if search.after is None:
        return None
    found: list[Any] = []
    for key, value in zip(search.sort, search.after.values, strict=True):
        found += _values(key, value)
    return [*found, search.after.pid]


def _values(key: SortKey, value: str | float | int | None) -> list[Any]:
    if key.param == "_id":
        return [value]
    if key.param == "_lastUpdated":
        return [int(value or 0) // 1000]
    none = "-Infinity" if key.descending else "Infinity"
    text = sort_value(value) if isinstance(value, str) else None
    pair = [none if value is None or text is not None else value, text]
    return pair[::-1] if key.descending else pair


def _order(keys: Sequence[SortKey], *, newest_first: bool) -> list[Any]:
    """Return the order of the index: numbers before text, the other way round in a descending one, no value last."""
    found: list[Any] = []
    for key in keys:
        found += _sorted_by(key)
    return [*found, {"pid": "desc" if newest_first else "asc"}]


def _sorted_by(key: SortKey) -> list[Any]:
    direction = "desc" if key.descending else "asc"
    if key.param in ("_id", "_lastUpdated"):
        return [{"i" if key.param == "_id" else "u": direction}]
    end = "d" if key.descending else "a"
    pair = [
        {f"{kind}.{field(key.param)}.{end}": {"order": direction, "missing": "_last", "unmapped_type": type_}}
        for kind, type_ in (("zn", "double"), ("zs", "keyword"))
    ]
    return pair[::-1] if key.descending else pair
