"""What `_include` and `_revinclude` bring by canonical URLs: engines follow references, this what names a URL.

Spec: https://hl7.org/fhir/R4/search.html#revinclude and https://hl7.org/fhir/R4/references.html#canonical
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fhir_server.context import Context
from fhir_server.model.json import decode
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search import query as q
from fhir_server.search.parameter import Parameter
from fhir_server.search.parameters_canonical import canonical_targets
from fhir_server.search.restrict import restrict_node
from fhir_server.storage.base import Page

_BEFORE_ALL = 1 << 62
"""A pid before all others, newest first: a cursor there reads everything as of its commit."""

_Versions = dict[str, set[str | None]]
"""Business versions by URL; None: of any, or without one."""


async def with_canonicals(ctx: Context, search: q.Search, page: Page) -> Page:
    """Return the page with what its includes bring by canonical URLs, as of its instant and of what the caller may see.

    A URL without a version brings the resource that was written last; one with a version, that of this version.
    """
    includes = [include for include in search.includes if _may_follow(ctx, include)]
    if not includes or not page.versions or page.containers:
        return page
    follower = _Follower(ctx, search, page.txid, {each.key for each in (*page.versions, *page.included)})
    follower.room = ctx.settings.max_includes - len(page.included)
    again = [include for include in includes if include.iterate]
    fresh = await follower.bring(includes, page.versions)
    fresh += await follower.bring(again, page.included)
    for _ in range(ctx.settings.max_iterations):
        if not (fresh and again):
            break
        fresh = await follower.bring(again, fresh)
    notes = [f"Included resources were cut at the limit of {ctx.settings.max_includes}."] if follower.cut else []
    return replace(
        page,
        included=(*page.included, *follower.found),
        notes=tuple(dict.fromkeys((*page.notes, *notes))),
    )


@dataclass(slots=True)
class _Follower:
    """Brings what is new, as long as there is room."""

    ctx: Context
    search: q.Search
    txid: int
    taken: set[ResourceKey]
    room: int = 0
    cut: bool = False
    found: list[Version] = field(default_factory=list)

    async def bring(self, includes: Iterable[q.Include], rows: Sequence[Version]) -> list[Version]:
        """Return what includes lead to from some rows, without what is there already."""
        fresh: list[Version] = []
        for include in includes:
            brought = await (self._reverse if include.reverse else self._forward)(include, rows) if rows else []
            fresh += self._add(brought)
        return fresh

    def _add(self, brought: Iterable[Version]) -> list[Version]:
        new = list({each.key: each for each in brought if each.key not in self.taken}.values())
        self.cut = self.cut or len(new) > self.room
        new = new[: max(self.room, 0)]
        self.room -= len(new)
        self.taken.update(each.key for each in new)
        self.found += new
        return new

    async def _forward(self, include: q.Include, rows: Sequence[Version]) -> list[Version]:
        wanted: dict[str, _Versions] = defaultdict(lambda: defaultdict(set))
        types = {row.key.type for row in rows if include.source in ("*", row.key.type)}
        targets = {type_: _targets(self.ctx, type_, include) for type_ in types}
        for row in rows:
            from_here = targets.get(row.key.type, {})
            for code, url, version in self._canonicals(row, from_here):
                for type_ in from_here[code]:
                    wanted[type_][url].add(version)
        found = await self._found({type_: q.Uri("url", q.StringMode.EXACT, tuple(wanted[type_])) for type_ in wanted})
        return _resolved(found, wanted)

    async def _reverse(self, include: q.Include, rows: Sequence[Version]) -> list[Version]:
        targets = _targets(self.ctx, include.source, include)
        types = frozenset(type_ for each in targets.values() for type_ in each)
        urls: _Versions = defaultdict(set)
        for url, version in (_named(row) for row in rows if row.key.type in types):
            if url:
                urls[url].add(version)
        if not urls:
            return []
        values = tuple(q.ReferenceValue(url=url) for url in urls)
        asked = q.Or(tuple(q.Reference(code, values, each) for code, each in targets.items()))
        found = await self._found({include.source: asked})
        return [row for row in found if any(_is_of(urls, each) for each in self._canonicals(row, targets))]

    def _canonicals(self, row: Version, targets: Mapping[str, object]) -> list[tuple[str, str, str | None]]:
        """Return parameter, URL and version of each canonical of a resource."""
        if not targets:
            return []
        entries = self.ctx.extractor.some(
            row.key.type, decode(row.body.data), frozenset(targets), own_base=self.ctx.base
        )
        return [(code, url, version) for code, _, _, url, version in entries.references if url and code in targets]

    async def _found(self, branches: Mapping[str, q.Node]) -> tuple[Version, ...]:
        """Return what the caller may see of it, newest first."""
        visible, hidden = self.search.visible, self.ctx.restriction.visibility.unasked
        seen = {
            type_: restrict_node(type_, node, visible)
            for type_, node in branches.items()
            if not (isinstance(node, q.Uri) and "url" in hidden.get(type_, ()))
        }
        if not seen:
            return ()
        most = self.ctx.settings.max_includes + 1
        after = q.Cursor(self.txid, (), _BEFORE_ALL)
        page = await self.ctx.store.search(q.Search(seen, count=most, after=after, visible=visible))
        self.cut = self.cut or page.next is not None
        return page.versions


def _may_follow(ctx: Context, include: q.Include) -> bool:
    """Tell whether an include may lead to canonicals; `_revinclude=*` would ask every type, and follows none."""
    if include.source == "*":
        return not include.reverse
    return bool(_targets(ctx, include.source, include))


def _targets(ctx: Context, type_: str, include: q.Include) -> dict[str, tuple[str, ...]]:
    """Return the canonicals that an include follows from a type: the types that each may name, by parameter."""
    own: Mapping[str, Parameter] = ctx.parameters.of(type_)
    chosen = own.values() if include.param == "*" else [own[include.param]] if include.param in own else []
    found = {each.code: canonical_targets(each, type_, ctx.parameters) for each in chosen}
    if include.target is not None:
        found = {code: tuple(each for each in types if each == include.target) for code, types in found.items()}
    return {code: types for code, types in found.items() if types}


def _resolved(found: Iterable[Version], wanted: Mapping[str, _Versions]) -> list[Version]:
    """Return those that were named, of resources newest first."""
    chosen, seen = [], set()
    for row in found:
        url, version = _named(row)
        versions = wanted[row.key.type].get(url, ())
        newest = (row.key.type, url) not in seen
        seen.add((row.key.type, url))
        if (newest and None in versions) or (version is not None and version in versions):
            chosen.append(row)
    return chosen


def _is_of(urls: _Versions, canonical: tuple[str, str, str | None]) -> bool:
    _, url, version = canonical
    return url in urls and (version is None or version in urls[url])


def _named(row: Version) -> tuple[str, str | None]:
    """Return the URL and the business version of a resource."""
    resource = decode(row.body.data)
    url, version = resource.get("url"), resource.get("version")
    return (url if isinstance(url, str) else ""), (version if isinstance(version, str) else None)
