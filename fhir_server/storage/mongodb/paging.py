"""A page of a search as the contract wants it: matches, what they include, a total, and where the next one begins."""

from collections.abc import Sequence

from fhir_server.search.query import And, Contained, Search, Total
from fhir_server.settings import Settings
from fhir_server.storage.base import Page
from fhir_server.storage.mongodb.document import Document
from fhir_server.storage.mongodb.includes import gather
from fhir_server.storage.mongodb.rows import Snapshot
from fhir_server.storage.mongodb.search import Match, count_of, cursor_of, page_of, resolved


async def page_at(snapshot: Snapshot, search: Search, head: Document, settings: Settings) -> Page:
    """Return one page. `head` says where the log ends now, which may be later than the snapshot."""
    asked = await resolved(snapshot, search)
    matches = await page_of(snapshot, asked) if search.count else []
    page = matches[: search.count]
    included, notes = await gather(snapshot, asked, [match.row for match in page], settings)
    more = bool(page) and len(matches) > len(page)
    return Page(
        versions=tuple(match.row.version for match in page),
        included=tuple(row.version for row in included),
        next=cursor_of(snapshot.txid, page[-1], search) if more else None,
        txid=snapshot.txid,
        total=await _total(snapshot, asked, matches, head),
        containers=_containers(search, page),
        notes=notes,
    )


async def _total(snapshot: Snapshot, search: Search, matches: Sequence[Match], head: Document) -> int | None:
    """A total that was not asked for is told where it is free: the only page, or everything of a type."""
    if snapshot.txid == head["txid"] and (known := known_total(search, head)) is not None:
        return known
    if search.count and search.after is None and len(matches) <= search.count:
        return len(matches)
    return await count_of(snapshot, search) if search.total != Total.NONE else None


def known_total(search: Search, head: Document) -> int | None:
    """Return the number of matches where the head knows it: of everything of some types."""
    if search.contained != Contained.FALSE or any(node != And() for node in search.branches.values()):
        return None
    return int(sum(head["counts"].get(type_, 0) for type_ in search.branches))


def _containers(search: Search, page: Sequence[Match]) -> tuple[tuple[str, str] | None, ...]:
    return () if search.contained == Contained.FALSE else tuple(match.container for match in page)
