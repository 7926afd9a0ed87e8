"""History of the reference engine: a filter over the log.

Spec: https://hl7.org/fhir/R4/http.html#history
"""

from fhir_server.search.match import matches
from fhir_server.storage.base import HistoryPage, HistoryQuery
from fhir_server.storage.memory.log import Log, Row


def history(log: Log, query: HistoryQuery) -> HistoryPage:
    """Return one page of versions, newest first."""
    until = query.until if query.until is not None else log.last_txid
    found = [row for row in reversed(log.rows) if row.version.txid <= until and _asked(log, row, query, until)]
    rows = [row for row in found if query.before is None or _place(row) < query.before]
    page = rows[: query.count]
    more = len(rows) > len(page) and page
    return HistoryPage(tuple(row.version for row in page), _place(page[-1]) if more else None, until, total=len(found))


def _place(row: Row) -> tuple[int, int]:
    return row.version.txid, row.version.pid


def _asked(log: Log, row: Row, query: HistoryQuery, until: int) -> bool:
    version = row.version
    if query.key is not None and version.key != query.key:
        return False
    if query.type is not None and version.key.type != query.type:
        return False
    if query.since is not None and version.last_updated < query.since:
        return False
    if query.at is not None and not _current_within(log, row, query.at):
        return False
    if query.visible.unrestricted:
        return True
    current = log.current(row.key) or row
    return all(_visible(log, each, query, until) for each in (row, current))


def _visible(log: Log, row: Row, query: HistoryQuery, until: int) -> bool:
    """Tell whether the content of a version may be seen; what was superseded asks for the current one beside."""
    if row.erased:
        return False
    return matches(query.visible.of(row.key.type), row.version, row.entries, log.at(until))


def _current_within(log: Log, row: Row, at: tuple[int, int]) -> bool:
    """Tell whether a version was current at some time in [low, high)."""
    low, high = at
    later = [r.version.last_updated for r in log.by_key[row.key] if r.version.version > row.version.version]
    return row.version.last_updated < high and (not later or min(later) > low)
