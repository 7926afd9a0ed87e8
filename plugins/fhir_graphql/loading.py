"""Reading resources for a query in waves: references of one level at once, searches a few at a time."""

import asyncio
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fhir_graphql.faults import QueryFault
from fhir_server.plugin_api import FhirError, NotFound, PluginContext, ResourceKey, decode

Resource = dict[str, Any]
Take = Callable[[Any], None]


class TooMuch(Exception):
    """The query goes beyond a limit, and is given up."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search."""

    bundle: Resource

    @property
    def entries(self) -> list[Resource]:
        """The matches, includes left out."""
        return [each for each in self.bundle.get("entry", ()) if each.get("search", {}).get("mode") == "match"]

    @property
    def resources(self) -> list[Resource]:
        """The resources of the matches."""
        return [each["resource"] for each in self.entries]

    def fact(self, name: str) -> Any:
        """What a connection says of itself: `count`, `offset`, `pagesize`, and cursors of other pages."""
        if name == "count":
            return self.bundle.get("total")
        if name == "pagesize":
            return len(self.entries)
        if name == "offset":
            return 0 if self._link("previous") is None and not self.bundle.get("_cursor") else None
        return "Connection" if name == "__typename" else self._link(name)

    def _link(self, relation: str) -> str | None:
        for link in self.bundle.get("link", ()):
            if link.get("relation") == relation:
                return urlsafe_b64encode(urlsplit(str(link["url"])).query.encode()).decode().rstrip("=")
        return None


@dataclass(frozen=True, slots=True)
class _Search:
    type: str
    criteria: Sequence[tuple[str, str]]
    cursor: str | None
    take: Take


class Loader:
    """What a query waits for."""

    def __init__(self, ctx: PluginContext) -> None:
        self._ctx, self._settings = ctx, ctx.settings
        self._reads: list[tuple[str, Take]] = []
        self._searches: list[_Search] = []
        self._resources = self._searched = 0
        self._turn = asyncio.Semaphore(ctx.settings.at_once)

    def read(self, reference: str, take: Take) -> None:
        """Ask for a resource by `Type/id`; `take` is given it, or what is wrong."""
        self._reads.append((reference, take))

    def search(self, type_: str, criteria: Sequence[tuple[str, str]], cursor: str | None, take: Take) -> None:
        """Ask for a page of a search; `take` is given it, or what is wrong."""
        self._searched += 1
        if self._searched > self._settings.max_searches:
            raise TooMuch(f"the query makes more than {self._settings.max_searches} searches")
        self._searches.append(_Search(type_, criteria, cursor, take))

    async def drain(self) -> None:
        """Read until nothing is asked for any more.

        Raises:
            TooMuch: the query reads more than the limits allow.
        """
        while self._reads or self._searches:
            reads, searches = self._reads, self._searches
            self._reads, self._searches = [], []
            await self._read_all(reads)
            pages = await asyncio.gather(*map(self._page, searches))
            await asyncio.to_thread(_give, [(one.take, page) for one, page in zip(searches, pages, strict=True)])

    async def _read_all(self, reads: list[tuple[str, Take]]) -> None:
        keys = {reference: self._key(reference) for reference, _ in reads}
        wanted = list(dict.fromkeys(key for key in keys.values() if isinstance(key, ResourceKey)))
        self._spend(len(wanted))
        try:
            found = await self._ctx.client.versions_of(wanted) if wanted else {}
        except FhirError as error:
            for _, take in reads:
                take(error)
            return
        parsed = {key: decode(version.stamped()) for key, version in found.items()}
        await asyncio.to_thread(_give, [(take, _found(keys[name], name, parsed)) for name, take in reads])

    def _key(self, reference: str) -> ResourceKey | Exception:
        type_, _, id_ = reference.partition("/")
        if type_ not in self._ctx.core.definitions.resource_types or not id_ or "/" in id_:
            return QueryFault(f"{reference[:100]} is not on this server", code="not-found")
        return ResourceKey(type_, id_)

    async def _page(self, search: _Search) -> Page | Exception:
        async with self._turn:
            try:
                if search.cursor is None:
                    page = Page(await self._ctx.client.search(search.type, search.criteria))
                else:
                    page = Page(await self._following(search))
            except FhirError as error:
                return error
        self._spend(len(page.entries))
        return page

    async def _following(self, search: _Search) -> Resource:
        cursor = search.cursor or ""
        try:
            query = b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        except ValueError:
            raise NotFound("there is no such cursor") from None
        answer = await self._ctx.client.request("GET", f"{search.type}?{query}")
        return {**decode(b"".join(answer.body)), "_cursor": True}

    def _spend(self, count: int) -> None:
        self._resources += count
        if self._resources > self._settings.max_resources:
            raise TooMuch(f"the query reads more than {self._settings.max_resources} resources")


def _found(key: ResourceKey | Exception, name: str, parsed: Mapping[ResourceKey, Resource]) -> Resource | Exception:
    if not isinstance(key, ResourceKey):
        return key
    return parsed.get(key) or NotFound(f"there is no {name[:100]}")


def _give(given: Sequence[tuple[Take, Any]]) -> None:
    """Hand over what has come; in a thread, as much may be made of it."""
    for take, found in given:
        take(found)
