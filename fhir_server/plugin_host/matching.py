"""Criteria held against single resources: what is evaluated when something is written, without asking the store."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from fhir_server.auth.unrestricted import Open
from fhir_server.context import Context
from fhir_server.interactions.search import parsed
from fhir_server.model.exchange import FhirRequest
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.entries import IndexEntries
from fhir_server.search.match import NoLookup, matches
from fhir_server.search.query import And, Chain, FullText, Has, Ids, Node, Not, Or, Reference, Search, Token, Visibility

Anchor = tuple[str, str]
"""A value that a resource must have: parameter, and the value as one text."""

_ALONE: Final = NoLookup()
_EVERYTHING: Final = Open()


@dataclass(frozen=True, slots=True)
class Compiled:
    """Criteria of one type, read once.

    local: the resource alone decides; else the store is asked too (chains, `_has`, texts).
    anchor: a value that every match has, for a look-up of the criteria that a resource may match; None: any may.
    """

    type: str
    node: Node
    local: bool
    anchor: Anchor | None


@dataclass(frozen=True, slots=True)
class _Now:
    key: ResourceKey
    last_updated: int


@dataclass(frozen=True, slots=True)
class Subject:
    """A resource to hold criteria against: what is indexed of it."""

    key: ResourceKey
    last_updated: int
    entries: IndexEntries

    def anchors(self) -> frozenset[Anchor]:
        """Return all values by which criteria may be looked up."""
        entries = self.entries
        codes = {(param, _token(system, code)) for param, system, code in entries.tokens}
        plain = {(param, _token("*", code)) for param, _, code in entries.tokens}
        named = {(param, f"{type_}/{id_}") for param, type_, id_, _, _ in entries.references if type_ and id_}
        return frozenset(codes | plain | named | {("_id", self.key.id)})


def compile_criteria(ctx: Context, type_: str, query: Iterable[tuple[str, str]]) -> Compiled:
    """Read the criteria of a type; whether somebody may see what matches is another question.

    Raises:
        BadRequest: as a search would.
    """
    request = FhirRequest("GET", "search-type", ctx.base, type=type_, query=tuple(query))
    strict = request.but(headers={"prefer": "handling=strict"})
    node = parsed(replace(ctx, restriction=_EVERYTHING), strict).search.branches.get(type_, And())
    return Compiled(type_, node, _is_local(node), _anchor(node))


def subject_of(ctx: Context, version: Version, resource: dict[str, Any]) -> Subject:
    """Return what is indexed of a version; `resource` is its body, parsed."""
    entries = ctx.extractor.extract(version.key.type, resource, own_base=ctx.base)
    return Subject(version.key, version.last_updated, entries)


async def holds(ctx: Context, compiled: Compiled, subject: Subject) -> bool:
    """Tell whether a resource matches; where it alone does not decide, its current version is looked for."""
    if subject.key.type != compiled.type:
        return False
    if compiled.local:
        return matches(compiled.node, _Now(subject.key, subject.last_updated), subject.entries, _ALONE)
    both = And((compiled.node, Ids((subject.key.id,))))
    found = await ctx.store.search(Search({compiled.type: both}, visible=Visibility(), count=1))
    return bool(found.versions)


def _is_local(node: Node) -> bool:
    if isinstance(node, And | Or):
        return all(map(_is_local, node.nodes))
    if isinstance(node, Not):
        return _is_local(node.node)
    return not isinstance(node, Chain | Has | FullText)


def _anchor(node: Node) -> Anchor | None:
    """Return one value that the criteria ask for alone; references are rarer than codes."""
    parts = node.nodes if isinstance(node, And) else (node,)
    found = sorted((rank, anchor) for each in parts for rank, anchor in _asked(each))
    return found[0][1] if found else None


def _asked(node: Node) -> Iterable[tuple[int, Anchor]]:
    if isinstance(node, Ids) and len(node.values) == 1:
        yield 0, ("_id", node.values[0])
    elif isinstance(node, Reference) and len(node.values) == 1:
        value = node.values[0]
        if value.type and value.id and not value.version:
            yield 1, (node.param, f"{value.type}/{value.id}")
    elif isinstance(node, Token) and len(node.values) == 1:
        value_ = node.values[0]
        if value_.code is not None and value_.system != "":
            yield 2, (node.param, _token("*" if value_.system is None else value_.system, value_.code))


def _token(system: str | None, code: str) -> str:
    return f"{system or ''}|{code}"
