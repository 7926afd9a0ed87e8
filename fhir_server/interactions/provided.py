"""The definitions that `/metadata` names, to be read like resources: those of R4, of packages, of the server itself.

They are found by id and by canonical URL, and what a tenant stores under the same id or URL stands in their place.

Spec: https://hl7.org/fhir/R4/capabilitystatement.html
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any
from weakref import WeakKeyDictionary
from zlib import crc32

from msgspec import structs

from fhir_server.context import Context
from fhir_server.interactions.facts_as_resources import (
    compartment_definitions,
    operation_definition,
    other_parameters,
    search_parameters,
)
from fhir_server.interactions.visibility import holds_of
from fhir_server.model.json import decode, encode, make_body
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.packages import Library
from fhir_server.search import query as q
from fhir_server.search.restrict import restrict
from fhir_server.storage.base import Page

TYPES = frozenset(("CompartmentDefinition", "OperationDefinition", "SearchParameter", "StructureDefinition"))
"""The types of which the CapabilityStatement names some."""

_SINCE = 1_795_305_600_000
"""2026-11-22: when the definitions came, as the CapabilityStatement has it. What they are tells their version."""

Json = Mapping[str, Any]
_Table = tuple[Mapping[str, Json], Mapping[str, Json]]
_tables: WeakKeyDictionary[object, dict[str, _Table]] = WeakKeyDictionary()
"""By id and by URL, of what the server has registered: it is let go with that."""


async def provided(ctx: Context, key: ResourceKey, vid: str | None = None) -> Version | None:
    """Return a definition by its id, if the caller may see it; with `vid`, if this is its version."""
    if key.type not in TYPES:
        return None
    found = next(_found(ctx, key.type, (), (key.id,)), None)
    if found is None or vid not in (None, str(found.version)):
        return None
    return found if await _holds(ctx, ctx.restriction.visibility.read.of(key.type), found) else None


async def with_provided(ctx: Context, search: q.Search, page: Page) -> Page:
    """Return the last page of a search by id or URL with the definitions that match, behind what is stored."""
    if page.next is not None or search.contained is not q.Contained.FALSE:
        return page
    found = [each for type_ in sorted(TYPES & search.branches.keys()) for each in await _matching(ctx, search, type_)]
    if not found:
        return page
    fresh = [structs.replace(each, pid=-number) for number, each in enumerate(found, 1)] if search.count else []
    total = None if page.total is None else page.total + len(found)
    return replace(page, versions=(*page.versions, *fresh), total=total)


async def _matching(ctx: Context, search: q.Search, type_: str) -> Sequence[Version]:
    node = search.branches[type_]
    urls, ids = _asked(node)
    found = [each for each in _found(ctx, type_, urls, ids) if await _holds(ctx, node, each)]
    if not found:
        return ()
    stored = await _stored(ctx, search, type_, (urls, [each.key.id for each in found]))
    return [each for each in found if not stored & {each.key.id, _url(each)}]


async def _stored(ctx: Context, search: q.Search, type_: str, named: tuple[Iterable[str], Iterable[str]]) -> set[str]:
    """Return the ids and URLs among those named that the caller knows stored resources by."""
    urls, ids = map(tuple, named)
    either = q.Or((q.Ids(ids), q.Uri("url", q.StringMode.EXACT, urls)))
    asked = restrict(q.Search({type_: either}, count=len(urls) + len(ids) + 1), search.visible)
    rows = (await ctx.store.search(asked)).versions
    return {row.key.id for row in rows} | {_url(row) for row in rows}


def _asked(node: q.Node) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the URLs and ids by which a search asks, one of which what it finds must have."""
    nodes = list(node.nodes) if isinstance(node, q.And) else [node]
    urls: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    for each in nodes:
        if isinstance(each, q.And):
            inner_urls, inner_ids = _asked(each)
            urls, ids = urls or inner_urls, ids or inner_ids
        elif isinstance(each, q.Uri) and (each.param, each.mode) == ("url", q.StringMode.EXACT):
            urls = each.values
        elif isinstance(each, q.Ids):
            ids = each.values
    return urls, () if urls else ids


def _url(version: Version) -> str:
    url = decode(version.body.data).get("url")
    return url if isinstance(url, str) else ""


async def _holds(ctx: Context, node: q.Node, version: Version) -> bool:
    if node == q.EVERYTHING:
        return True
    entries = ctx.extractor.extract(version.key.type, decode(version.body.data), own_base=ctx.base)
    return await holds_of(ctx, node, version, entries)


# --- where they are


def _found(ctx: Context, type_: str, urls: Iterable[str], ids: Iterable[str]) -> Iterator[Version]:
    if type_ == "StructureDefinition":
        yield from _structures(ctx.library, tuple(urls), tuple(ids))
        return
    asked, chosen = (tuple(urls), tuple(ids)), dict[str, Json]()
    for by_id, by_url in _kept(ctx, type_):
        found = (*map(by_url.get, asked[0]), *map(by_id.get, asked[1]))
        chosen = {each["id"]: each for each in found if each is not None} | chosen
    for id_, resource in chosen.items():
        yield _version(type_, id_, encode(resource))


def _kept(ctx: Context, type_: str) -> Sequence[_Table]:
    """Return the definitions of a type, made once for as long as what they are made of stays; what all tenants have
    is made for all."""
    facts = ctx.definitions
    if type_ == "OperationDefinition":
        return (_table(ctx.operations, type_, lambda: map(operation_definition, ctx.operations.facts)),)
    if type_ == "CompartmentDefinition":
        return (_table(facts, type_, lambda: compartment_definitions(facts)),)
    own = _table(ctx.extractor, type_, lambda: other_parameters(facts, ctx.parameters))
    return _table(facts, type_, lambda: search_parameters(facts)), own


def _table(source: object, type_: str, make: Callable[[], Iterable[Json]]) -> _Table:
    tables = _tables.setdefault(source, {})
    if type_ not in tables:
        made = list(make())
        tables[type_] = {each["id"]: each for each in made}, {each["url"]: each for each in made}
    return tables[type_]


def _structures(library: Library, urls: tuple[str, ...], ids: tuple[str, ...]) -> Iterator[Version]:
    """Yield definitions of structures that are not stored: those have their own place in a search."""
    for entry in [each for url in urls for each in library.versions("StructureDefinition", url.partition("|")[0])]:
        if entry.source:
            yield _version(entry.type, entry.name.rpartition("/")[2], entry.data)
    for id_ in ids:
        named = (each for each in library.all("StructureDefinition") if each.source and each.name.endswith(f"/{id_}"))
        yield from (_version(each.type, id_, each.data) for each in islice(named, 1))


def _version(type_: str, id_: str, data: bytes) -> Version:
    key = ResourceKey(type_, id_)
    return Version(-1, key, crc32(data), 0, _SINCE, "PUT", make_body(data, key))
