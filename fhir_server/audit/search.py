"""Searching the audit as FHIR.

Spec: https://hl7.org/fhir/R4/auditevent.html#search, https://hl7.org/fhir/R4/search.html
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from fhir_server.audit import asked as lookup
from fhir_server.audit.events import event_of
from fhir_server.audit.render import TYPE, View, version_of
from fhir_server.audit.sight import sight_of, visible_to
from fhir_server.context import Context
from fhir_server.errors import BadRequest, Issue, TooCostly
from fhir_server.interactions.bundle import Link, write_bundle
from fhir_server.interactions.outcome import outcome
from fhir_server.interactions.search import parsed
from fhir_server.interactions.subset import Subset, cut, named
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.json import decode, encode
from fhir_server.model.version import Version
from fhir_server.search.controls import Summary
from fhir_server.search.links import PageLink, decode_link, encode_link
from fhir_server.search.match import NoLookup, matches
from fhir_server.search.parser import ParsedSearch
from fhir_server.search.query import And, Cursor, Node, Total
from fhir_server.storage.audit import AuditEntry, AuditPage, AuditQuery

_CLOSE_LOOKS: Final = 3_000
"""Rows that are rendered for one page; a page that finds little in so many ends early, with a link to go on."""

_COUNTED: Final = 20_000
"""Rows that are rendered to count matches."""

_ROWS: Final = 200_000
_ALL: Final = 1 << 60
_SUBSETS = (Summary.TRUE, Summary.TEXT, Summary.DATA)
_SORTS = ("date", "_lastUpdated", "_id")


@dataclass(slots=True)
class _Finder:
    """Tells which rows match; keeps those that it has rendered."""

    ctx: Context
    view: View
    node: Node
    tests: list[lookup.Test]
    looks: int = _CLOSE_LOOKS

    def test(self, entry: AuditEntry) -> bool:
        """Match one row, quickly where that is enough to refuse it."""
        event = event_of(entry)
        if not all(test(event) for test in self.tests):
            return False
        self.looks -= 1
        return fits(self.ctx, self.node, version_of(entry, self.view))


def fits(ctx: Context, node: Node, version: Version) -> bool:
    """Match an AuditEvent against a tree. What an app has reported is found by the time at which that came, too."""
    if node == And():
        return True
    entries = ctx.extractor.extract(TYPE, decode(version.stamped()), own_base=ctx.base)
    entries.dates.append(("date", version.last_updated * 1000, (version.last_updated + 1) * 1000))
    return matches(node, version, entries, NoLookup())


@dataclass(frozen=True, slots=True)
class Found:
    """One page of events: what was asked for, its rows, how many there were, how many match, how they are shown."""

    asked: ParsedSearch
    page: AuditPage
    end: int
    total: int | None
    view: View

    @property
    def versions(self) -> list[Version]:
        """The events of the page."""
        return [version_of(entry, self.view) for entry in self.page.entries]

    def next(self, ctx: Context) -> str | None:
        """Return the token of the link to the next page; None on the last one."""
        if self.page.next is None:
            return None
        link = PageLink(Cursor(self.end, (), self.page.next), self.asked.fingerprint, ctx.now())
        return encode_link(link, ctx.link_secret)


async def search(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Answer `GET [base]/AuditEvent?...`: newest first, or oldest first by `_sort=date`.

    Raises:
        BadRequest: a parameter that cannot be read, or that the audit does not offer.
    """
    found = await find(ctx, request)
    entries = [*_entries(ctx, request, found.asked, found.versions), *_outcome(found.asked.issues)]
    links = _links(ctx, request, found)
    body = write_bundle("searchset", entries, identity=(ctx.new_id(), ctx.now()), total=found.total, links=links)
    return FhirResponse(200, (body,))


async def find(ctx: Context, request: FhirRequest) -> Found:
    """Return one page of what a search finds, as far as the caller may see it. Raises BadRequest."""
    token = request.parameter("_page")
    link = decode_link(token, ctx.link_secret) if token is not None else None
    asked = parsed(ctx, request, ctx.now() if link is None else link.now, visible_to(ctx), answered=True)
    cursor = None if link is None else link.cursor_of(asked.fingerprint)
    ascending = _ascending(asked)
    node, view = _joined(ctx, asked)
    found = lookup.read(node)
    end = cursor.txid if cursor is not None else await ctx.store.audit.size()
    query = _bounded(found.query(), cursor, end, ascending=ascending)
    finder = _Finder(ctx, view, node, found.tests)
    page = AuditPage() if asked.search.count == 0 else await _page(ctx, finder, query, (asked.search.count, found.seqs))
    total = None
    if asked.search.total is not Total.NONE:
        whole = _bounded(found.query(), None, end, ascending=ascending)
        total = (
            end - await ctx.store.audit.first() + 1
            if node == And()
            else await _counted(ctx, replace(finder, looks=_COUNTED), whole, found.seqs)
        )
    elif cursor is None and page.next is None:
        total = len(page.entries)
    return Found(asked, page, end, total, view)


def _joined(ctx: Context, asked: ParsedSearch) -> tuple[Node, View]:
    """Return what must hold, with what the caller may see, and how events are shown."""
    sight = sight_of(ctx)
    node = asked.search.branches[TYPE]
    return (node if sight.predicate is None else And((node, sight.predicate))), View(ctx.base, sight.patients)


def _bounded(query: AuditQuery, cursor: Cursor | None, end: int, *, ascending: bool) -> AuditQuery:
    """Return the query of one page: nothing that came after page one."""
    below, above = end + 1, None
    if cursor is not None:
        below, above = (below, cursor.pid) if ascending else (cursor.pid, None)
    return replace(query, below=below, above=above, ascending=ascending)


async def _page(
    ctx: Context, finder: _Finder, query: AuditQuery, asked: tuple[int, frozenset[int] | None]
) -> AuditPage:
    count, seqs = asked
    if seqs is not None:
        return await _by_id(ctx, finder, query, sorted(seqs, reverse=not query.ascending))
    entries: list[AuditEntry] = []
    looked, most = 0, _ROWS
    while True:
        slice_ = _CLOSE_LOOKS if not finder.tests else most
        page = await ctx.store.audit.find(
            replace(query, test=finder.test, count=min(count - len(entries), 10_000), most=slice_)
        )
        entries += page.entries
        looked += slice_
        if page.next is None or len(entries) >= count or finder.looks <= 0 or looked >= most:
            return AuditPage(tuple(entries), page.next)
        query = replace(query, above=page.next) if query.ascending else replace(query, below=page.next)


async def _counted(ctx: Context, finder: _Finder, query: AuditQuery, seqs: frozenset[int] | None) -> int:
    page = await _page(ctx, finder, query, (_ALL, seqs))
    if page.next is not None:
        raise TooCostly("too many events to be counted: narrow the search by patient, entity, agent or date")
    return len(page.entries)


async def _by_id(ctx: Context, finder: _Finder, query: AuditQuery, seqs: list[int]) -> AuditPage:
    found = [entry for seq in seqs if (entry := await ctx.store.audit.read(seq)) is not None]
    low, high = query.above or 0, query.below or _ALL
    return AuditPage(tuple(entry for entry in found if low < entry.seq < high and finder.test(entry)))


def _ascending(asked: ParsedSearch) -> bool:
    """Read the order; recorded in order of time, events have but two."""
    if asked.search.includes:
        raise BadRequest("a search of the audit takes no _include", expression="http._include")
    if any(key.param not in _SORTS for key in asked.search.sort):
        raise BadRequest("the audit is sorted by date or -date", expression="http._sort")
    return bool(asked.search.sort) and not asked.search.sort[0].descending


def _links(ctx: Context, request: FhirRequest, found: Found) -> list[Link]:
    asked = found.asked
    path = f"{request.compartment}/{TYPE}" if request.compartment is not None else TYPE
    url = f"{request.base}/{path}"
    first = f"{url}?{urlencode(asked.applied, safe=':,/$*')}" if asked.applied else url
    links = [("self", first if asked.page is None else _page_of(first, asked.page)), ("first", first)]
    token = found.next(ctx)
    if token is not None:
        links.append(("next", _page_of(first, token)))
    return links


def _page_of(first: str, token: str) -> str:
    return f"{first}{'&' if '?' in first else '?'}_page={token}"


def _entries(ctx: Context, request: FhirRequest, asked: ParsedSearch, versions: list[Version]) -> Iterator[bytes]:
    wanted: Subset | None = None
    if asked.summary in _SUBSETS:
        wanted = Subset(asked.summary.value)  # type: ignore[arg-type]  # one of the three
    elif asked.elements:
        wanted = Subset("elements", named(asked.elements))
    base = encode(request.base)[1:-1]
    for version in versions:
        resource = version.stamped() if wanted is None else cut(ctx.definitions, version, wanted)
        yield b'{"fullUrl":"%b/AuditEvent/%b","resource":%b,"search":{"mode":"match"}}' % (
            base, version.key.id.encode(), resource,
        )  # fmt: skip


def _outcome(issues: tuple[Issue, ...]) -> Iterator[bytes]:
    if issues:
        yield b'{"resource":%b,"search":{"mode":"outcome"}}' % outcome(issues)
