"""Reading of versions as of an instant: the base that search, includes, history and preconditions stand on."""

import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.entries import IndexEntries
from fhir_server.search.fulltext import content_text, narrative_text
from fhir_server.search.match import Found, VersionLike, matches
from fhir_server.search.query import Node
from fhir_server.storage.base import SearchTooCostly
from fhir_server.storage.mongodb.compile import Compiler, Filter
from fhir_server.storage.mongodb.document import (
    BODY_ALONE,
    OPEN,
    WITH_ENTRIES,
    Document,
    entries_of,
    shard_of,
    version_of,
)

Order = Sequence[tuple[str, int]]
BATCH: Final = 200
BY_NAME: Final = "resource"
"""The index of all versions of a resource."""
_KEYS: Final = 500
"""Resources that are asked for by name in one query."""


@dataclass(frozen=True, slots=True)
class Row:
    """A version and its index entries."""

    version: Version
    entries: IndexEntries

    @property
    def key(self) -> ResourceKey:
        """The key of the resource."""
        return self.version.key


class Alone:
    """The Lookup of a tree whose chains were looked up before: the text of the subject, and nothing else."""

    def current(self, key: ResourceKey) -> Found | None:
        """Return nothing."""
        return None

    def referring(self, type_: str, param: str, key: ResourceKey) -> Iterable[Found]:
        """Return nothing."""
        return ()

    def text(self, version: VersionLike, *, content: bool) -> str:
        """Return the text of a resource; a contained one has none of its own."""
        body = version.body.data if isinstance(version, Version) else b"{}"
        return content_text(body) if content else narrative_text(body)


ALONE: Final = Alone()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The resources as they were when `txid` was the newest commit. `session` is that of a write, which sees its own.

    limit: milliseconds after which the server gives a query up. wide: types of which some documents lack what searches
    look at.
    """

    database: AsyncDatabase[Document]
    compiler: Compiler
    txid: int
    limit: int
    session: AsyncClientSession | None = None
    wide: frozenset[str] = frozenset()

    @property
    def current(self) -> Document:
        """The filter for what was current then and no deletion."""
        return {"x": {"$lte": self.txid}, "to": {"$gt": self.txid}, "gone": {"$exists": False}}

    async def documents(
        self,
        match: Document,
        order: Order = (),
        limit: int = 0,
        fields: Mapping[str, int] | None = None,
        batch: int = BATCH,
    ) -> AsyncGenerator[Document, None]:
        """Yield documents of the log, whole. batch: how many come at once."""
        found = self.database["versions"].find(match, fields, session=self.session, batch_size=batch)
        if _is_named(match):
            found = found.hint(BY_NAME)
        if order:
            found = found.sort(list(order)).allow_disk_use(True)
        if limit:
            found = found.limit(limit)
        async with found.max_time_ms(self.limit):
            async for document in found:
                yield await self.whole(document)

    async def whole(self, document: Document) -> Document:
        """Bring the parts of a large document together."""
        for name in ("b", "e"):
            if isinstance(document.get(name), int):
                ids = [part_id(document["_id"], name, number) for number in range(document[name])]
                cursor = self.database["parts"].find({"_id": {"$in": ids}}, session=self.session)
                parts = {str(part["_id"]): part["d"] async for part in cursor}
                document[name] = b"".join(parts[id_] for id_ in ids)
        return document

    async def rows(
        self, match: Document, order: Order = (), limit: int = 0, batch: int = BATCH
    ) -> AsyncGenerator[Row, None]:
        """Yield current resources that a filter finds."""
        async with aclosing(self.current_documents(match, WITH_ENTRIES, order, limit, batch)) as found:
            async for document in found:
                yield Row(version_of(document), entries_of(document))

    async def current_documents(
        self, match: Document, fields: Mapping[str, int], order: Order = (), limit: int = 0, batch: int = BATCH
    ) -> AsyncGenerator[Document, None]:
        """Yield the documents of current resources that a filter finds."""
        every = {"$and": [self.current, match]} if match else self.current
        until = time.monotonic() + self.limit / 1000
        async with aclosing(self.documents(every, order, limit, fields, batch)) as found:
            async for document in found:
                if self.limit and time.monotonic() > until:  # the server counts its own time alone
                    raise SearchTooCostly("the search looked at more resources than `search_timeout` allows: narrow it")
                yield document

    def asked(self, types: Sequence[str], node: Node) -> Filter:
        """Return the filter for resources of some types that a tree holds for."""
        found = self.compiler.compile(node)
        named: Document = {"t": types[0]} if len(types) == 1 else {"t": {"$in": list(types)}}
        if not found.match:
            return Filter(named, found.exact)
        if self.wide.isdisjoint(types):
            return Filter({"$and": [named, found.match]}, found.exact)
        return Filter({"$and": [named, {"$or": [found.match, {"w": True}]}]}, exact=False)

    def keyed(self, keys: Sequence[int]) -> Document:
        """Return the filter for any of several keys, in resources of any type."""
        match: Document = {"k": {"$in": list(keys)}}
        return {"$or": [match, {"t": {"$in": sorted(self.wide)}, "w": True}]} if self.wide else match

    async def matching(self, type_: str, node: Node) -> AsyncGenerator[Row, None]:
        """Yield the current resources of a type for which a tree holds; its chains were looked up before."""
        async with aclosing(self.rows(self.asked([type_], node).match)) as found:
            async for row in found:
                if matches(node, row.version, row.entries, ALONE):
                    yield row

    async def newest(self, key: ResourceKey) -> Version | None:
        """Return the version of a resource that nothing superseded, whatever the instant."""
        match = {**name_filter(key), "to": OPEN}
        async with aclosing(self.documents(match, limit=1, fields=BODY_ALONE)) as found:
            return await _first(found)

    async def version(self, key: ResourceKey, number: int) -> Version | None:
        """Return one version of a resource."""
        match = {**name_filter(key), "v": number, "x": {"$lte": self.txid}}
        async with aclosing(self.documents(match, fields=BODY_ALONE)) as found:
            return await _first(found)

    async def live(self, keys: Sequence[ResourceKey], fields: Mapping[str, int]) -> AsyncGenerator[Document, None]:
        """Yield the documents of the versions of some resources that were current, deletions too."""
        live: Document = {"x": {"$lte": self.txid}, "to": {"$gt": self.txid}}
        for start in range(0, len(keys), _KEYS):
            some = frozenset(keys[start : start + _KEYS])
            async with aclosing(self.documents(names_filter(some) | live, fields=fields)) as found:
                async for each in found:
                    if ResourceKey(each["t"], each["i"]) in some:
                        yield each

    async def named(self, keys: Sequence[ResourceKey]) -> dict[ResourceKey, Row]:
        """Return the current resources with these names."""
        found: dict[ResourceKey, Row] = {}
        for start in range(0, len(keys), _KEYS):
            some = frozenset(keys[start : start + _KEYS])
            async for row in self.rows(names_filter(some)):
                if row.key in some:
                    found[row.key] = row
        return found


async def _first(found: AsyncGenerator[Document, None]) -> Version | None:
    async for each in found:
        return version_of(each)
    return None


def name_filter(key: ResourceKey) -> Document:
    """Return the filter for all versions of a resource."""
    return {"h": shard_of(key), "t": key.type, "i": key.id}


def names_filter(keys: Iterable[ResourceKey]) -> Document:
    """Return the filter for all versions of several resources, and of any other that shares a hash with one of them.

    An `$or` of names would leave MongoDB to choose an index for each of them: it tries a few of all combinations, of
    which most walk whole types. Only one index begins with the hash.
    """
    return {"h": {"$in": sorted({shard_of(key) for key in keys})}}


def _is_named(match: Document) -> bool:
    """Tell whether a filter asks for resources by name.

    For these one index is right whatever the data are. Without a hint MongoDB tries a dozen that begin with the type as
    well, and may keep to one of them that was lucky once: a resource that was just written is the newest of its type.
    """
    return "h" in match or any("h" in part for part in match.get("$and", ()))


def part_id(pid: int, name: str, number: int) -> str:
    """Return the id of a part of a large document."""
    return f"{pid}:{name}:{number:06d}"
