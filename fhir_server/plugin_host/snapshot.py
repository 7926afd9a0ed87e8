"""Snapshot: all that a caller may see, as it was at one commit, in pages of stored bytes that nobody parsed."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl

from fhir_server.auth.links import any_of, of_patients, reaches_patients
from fhir_server.context import Context
from fhir_server.definitions import Definitions
from fhir_server.errors import BadRequest
from fhir_server.interactions.store_errors import translate
from fhir_server.interactions.subset import Subset, cut, named
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.parameters_links import LINK, VIA
from fhir_server.search.parser import parse_search
from fhir_server.search.query import (
    EVERYTHING,
    NOTHING,
    And,
    Chain,
    Cursor,
    DateValue,
    Has,
    Ids,
    LastUpdated,
    Missing,
    Node,
    Prefix,
    Reference,
    ReferenceValue,
    Search,
    Visibility,
)
from fhir_server.search.restrict import restrict
from fhir_server.storage.base import HOLDS, HistoryQuery, RecordChange, StoreError

_FIRST = 2**62
"""A pid above all: the place before the first row, newest first."""
_ARRANGING = frozenset(
    ("_sort", "_count", "_total", "_include", "_revinclude", "_summary", "_elements", "_contained", "_containedType")
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which resources of one type are wanted.

    filters: searches, any of which holds: `status=active&code=1234`; none: all.
    since, until: later than, and not later than, in milliseconds since 1970.
    patients: ids of patients of whose record it has to be part. linked: it has to be part of somebody's.
    ids: exactly these. refers: a search parameter, and what it has to point at by it, any of these.
    cohort: of patients: (type, search); for each the patient, or something of their record, has to match.
    pointing: it has to point, by its search parameter `target`, at something of a type that is wanted itself.
    """

    filters: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None
    patients: tuple[str, ...] | None = None
    linked: bool = False
    ids: tuple[str, ...] | None = None
    refers: tuple[str, tuple[ResourceKey, ...]] | None = None
    cohort: tuple[tuple[str, str], ...] = ()
    pointing: Mapping[str, "Wanted"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rows:
    """Some versions, newest first, and the place behind the last; None where there are no more."""

    versions: tuple[Version, ...]
    next: int | None


class Snapshot:
    """A tenant at one commit, as one caller may see it.

    Args:
        ctx: the server's context of the caller.
        txid: the commit. instant: its `lastUpdated`; all that was written later is later than that.
    """

    def __init__(self, ctx: Context, txid: int, instant: int) -> None:
        self._ctx, self.txid, self.instant = ctx, txid, instant

    @classmethod
    async def latest(cls, ctx: Context) -> "Snapshot":
        """Return the newest one."""
        txid = await ctx.store.last_txid()
        newest = (await ctx.store.history(HistoryQuery(count=1, until=txid))).versions
        return cls(ctx, txid, newest[0].last_updated if newest else ctx.now() - 1)

    async def hold(self, name: str, seconds: int) -> None:
        """Have it stay readable for so long, longer than a page link lives; again under the same name to go on, with 0
        to let go."""
        await self._ctx.store.declare(HOLDS)
        until = self._ctx.now() + seconds * 1_000
        change = RecordChange(HOLDS.name, name, {"txid": self.txid, "until": until} if seconds else None)
        await self._ctx.store.commit((), (change,))

    def may(self, type_: str) -> bool:
        """Tell whether the caller may see any resources of a type."""
        may = self._ctx.restriction.may
        return may("search-type", type_) and may("read", type_)

    def links_patients(self, type_: str) -> bool:
        """Tell whether resources of a type can be part of a patient's record."""
        return reaches_patients(type_, self._ctx.definitions)

    def check(self, type_: str, wanted: Wanted) -> None:
        """Check what is wanted.

        Raises:
            BadRequest: a search that cannot be read, or that only arranges results.
            Forbidden: one by what is masked for the caller.
        """
        restrict(Search({type_: self._node(type_, wanted)}), self._ctx.restriction.visibility)

    async def page(self, type_: str, wanted: Wanted, after: int | None = None, count: int = 1_000) -> Rows:
        """Return some rows behind a place.

        Raises:
            FhirError: the snapshot is too old, or the search too costly.
        """
        cursor = Cursor(self.txid, (), _FIRST if after is None else after)
        search = restrict(
            Search({type_: self._node(type_, wanted)}, count=count, after=cursor), self._ctx.restriction.visibility
        )
        try:
            page = await self._ctx.store.search(search)
        except StoreError as error:
            raise await translate(self._ctx, error) from error
        return Rows(await self._shown(page.versions), page.next.pid if page.next else None)

    def cut(self, version: Version, elements: Collection[str]) -> bytes:
        """Return a resource with these elements alone, besides those that it has to have; marked SUBSETTED."""
        return cut(self._ctx.definitions, version, Subset("elements", named(elements)))

    async def count(self, types: Iterable[str]) -> dict[str, int]:
        """Return the number of all current resources of these types, seen or not: a measure of the work ahead."""
        totals = await self._ctx.store.statistics()
        return {type_: totals.get(type_, 0) for type_ in types}

    async def deleted(self, type_: str, wanted: Wanted) -> AsyncIterator[ResourceKey]:
        """Yield what was deleted after `wanted.since` and is still so, if its last content was wanted and seen."""
        visible = self._visible(type_, wanted)
        query = HistoryQuery(type=type_, since=(wanted.since or 0) + 1, count=1_000, until=self.txid)
        while True:
            page = await self._ctx.store.history(query)
            for version in page.versions:
                if version.deleted and await self._is_gone(version, visible, wanted):
                    yield version.key
            if page.next is None:
                return
            query = replace(query, before=page.next)

    async def _is_gone(self, version: Version, visible: Visibility, wanted: Wanted) -> bool:
        if wanted.until is not None and version.last_updated > wanted.until:
            return False
        later = await self._ctx.store.read_version(version.key, version.version + 1)
        if later is not None and later.txid <= self.txid:
            return False
        if visible.unrestricted:
            return True
        asked = HistoryQuery(key=version.key, until=self.txid, count=1, visible=visible)
        found = (await self._ctx.store.history(asked)).versions
        return bool(found) and found[0].pid == version.pid

    def _visible(self, type_: str, wanted: Wanted) -> Visibility:
        node = self._node(type_, replace(wanted, since=None, until=None))
        found = restrict(Search({type_: node}), self._ctx.restriction.visibility).branches[type_]
        return Visibility() if found == EVERYTHING else Visibility(NOTHING, {type_: found})

    async def _shown(self, versions: Sequence[Version]) -> tuple[Version, ...]:
        deciders = self._ctx.deciders
        if deciders is None or not deciders.shows:
            return tuple(versions)
        return tuple([await deciders.version(self._ctx, version) for version in versions])

    def _node(self, type_: str, wanted: Wanted) -> Node:
        facts = self._ctx.definitions
        parts: list[Node] = [LastUpdated((each,)) for each in _dates(wanted)]
        if wanted.filters:
            parts.append(any_of([self._filter(type_, each) for each in wanted.filters]))
        if wanted.patients is not None:
            parts.append(of_patients(type_, wanted.patients, facts))
        if wanted.linked:
            parts.append(of_anybody(type_, facts))
        if wanted.ids is not None:
            parts.append(Ids(wanted.ids))
        if wanted.refers is not None:
            name, keys = wanted.refers
            parts.append(Reference(name, tuple(ReferenceValue(*key) for key in keys)))
        parts += [self._of_cohort(of, filter_) for of, filter_ in wanted.cohort]
        if wanted.pointing:
            parts.append(any_of([Chain("target", to, self._node(to, it)) for to, it in wanted.pointing.items()]))
        kept = tuple(part for part in parts if part != EVERYTHING)
        return kept[0] if len(kept) == 1 else And(kept)

    def _of_cohort(self, type_: str, filter_: str) -> Node:
        found = self._filter(type_, filter_)
        return found if type_ == "Patient" else Has(type_, LINK, found)

    def _filter(self, type_: str, filter_: str) -> Node:
        """Return the tree of a search, to which `restrict` has yet to join what the caller may see."""
        place = "http._typeFilter"
        try:
            pairs = tuple(parse_qsl(filter_, keep_blank_values=True, strict_parsing=True)) if filter_ else ()
        except ValueError:
            raise BadRequest(f"{filter_[:200]!r} is no search", expression=place) from None
        for name, _ in pairs:
            if name.partition(":")[0] in _ARRANGING:
                raise BadRequest(f"{name[:100]} arranges results and selects none: leave it out", expression=place)
        ctx = self._ctx
        asked = parse_search(
            pairs, types=(type_,), registry=ctx.parameters, settings=ctx.settings, visibility=Visibility(),
            own_base=ctx.base, expander=ctx.terminology, now=ctx.now(),
        )  # fmt: skip
        return asked.search.branches[type_]


def of_anybody(type_: str, facts: Definitions) -> Node:
    """Return the predicate for resources of a type that are part of some patient's record."""
    if type_ == "Patient":
        return EVERYTHING
    links = facts.patient_links.get(type_, ())
    nodes: list[Node] = [Missing(LINK, False)] if any(link.via is None for link in links) else []
    via = [link.via for link in links if link.via is not None]
    for target in facts.resource_types if "Resource" in via else dict.fromkeys(via):
        if target == "Patient":
            nodes.append(Chain(VIA, target, EVERYTHING))
        elif any(link.via is None for link in facts.patient_links.get(target, ())):
            nodes.append(Chain(VIA, target, Missing(LINK, False)))
    return any_of(nodes)


def _dates(wanted: Wanted) -> Iterable[DateValue]:
    """Return the bounds as those of a date parameter, in microseconds; the log has milliseconds."""
    if wanted.since is not None:
        yield DateValue(Prefix.GT, wanted.since * 1_000, (wanted.since + 1) * 1_000)
    if wanted.until is not None:
        yield DateValue(Prefix.LE, wanted.until * 1_000, (wanted.until + 1) * 1_000)
