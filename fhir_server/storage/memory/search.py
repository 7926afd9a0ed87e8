"""Search of the reference engine: filter, sort, cut the page."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fhir_server.model.keys import ResourceKey
from fhir_server.search.compare import instant_interval
from fhir_server.search.entries import IndexEntries
from fhir_server.search.match import matches, matching_contained
from fhir_server.search.query import Contained, Cursor, Search, SortKey
from fhir_server.storage.memory.log import Row, Snapshot

SortValue = str | float | int | None


@dataclass(frozen=True, slots=True)
class Match:
    """A row found: `container` is the type and id of the contained resource that was meant, `ordinal` its place."""

    row: Row
    entries: IndexEntries
    container: tuple[str, str] | None = None
    ordinal: int = 0


def found_keys(snapshot: Snapshot, search: Search) -> frozenset[ResourceKey]:
    """Return the keys of all matches, whatever the page."""
    return frozenset(match.row.key for match in find(snapshot, search))


def find(snapshot: Snapshot, search: Search) -> list[Match]:
    """Return all matches in the order of the search."""
    found: list[Match] = []
    if search.contained != Contained.TRUE:
        found += _resources(snapshot, search)
    if search.contained != Contained.FALSE:
        found += _contained(snapshot, search)
    return sorted(found, key=lambda match: _position(match, search))


def _resources(snapshot: Snapshot, search: Search) -> Iterable[Match]:
    for type_, node in search.branches.items():
        for row in snapshot.rows(type_):
            if matches(node, row.version, row.entries, snapshot):
                yield Match(row, row.entries)


def _contained(snapshot: Snapshot, search: Search) -> Iterable[Match]:
    """Find contained resources; whoever may not see the container sees nothing in it."""
    for row in snapshot.rows():
        if not row.entries.contained:
            continue
        if not matches(search.visible.of(row.key.type), row.version, row.entries, snapshot):
            continue
        for type_, node in search.branches.items():
            ids = matching_contained(node, type_, row.version, row.entries, snapshot)
            for ordinal, (kind, id_, inner) in enumerate(row.entries.contained, 1):
                if kind == type_ and id_ in ids:
                    yield Match(row, inner, (kind, id_), ordinal)


def after(found: Sequence[Match], search: Search) -> list[Match]:
    """Return the matches behind the cursor of a page link."""
    if search.after is None:
        return list(found)
    bound = _cursor_position(search.after, search)
    return [match for match in found if _position(match, search) > bound]


def cursor(txid: int, match: Match, search: Search) -> Cursor:
    """Return the place behind one match; a search of contained resources adds their place in the container."""
    values = sort_values(match, search.sort)
    if search.contained != Contained.FALSE:
        values = (*values, match.ordinal)
    return Cursor(txid, values, match.row.version.pid)


def _cursor_position(place: Cursor, search: Search) -> tuple[object, ...]:
    values, ordinal = place.values, 0
    if search.contained != Contained.FALSE:
        *rest, last = place.values
        values, ordinal = tuple(rest), int(last or 0)
    return (*_ordered(values, search.sort), _age(place.pid, search), ordinal)


def _position(match: Match, search: Search) -> tuple[object, ...]:
    values = sort_values(match, search.sort)
    return (*_ordered(values, search.sort), _age(match.row.version.pid, search), match.ordinal)


def _age(pid: int, search: Search) -> int:
    return -pid if search.newest_first else pid


def _ordered(values: Iterable[SortValue], keys: Sequence[SortKey]) -> tuple["_Ordered", ...]:
    return tuple(_Ordered(value, key.descending) for value, key in zip(values, keys, strict=True))


@dataclass(frozen=True, slots=True)
class _Ordered:
    """A sort value that knows its direction; no value comes last in both, numbers come before text."""

    value: SortValue
    descending: bool

    def __lt__(self, other: "_Ordered") -> bool:
        if self.value is None or other.value is None:
            return self.value is not None
        mine, theirs = (isinstance(self.value, str), self.value), (isinstance(other.value, str), other.value)
        return mine > theirs if self.descending else mine < theirs


def sort_values(match: Match, keys: Sequence[SortKey]) -> tuple[SortValue, ...]:
    """Return the value of each sort key: of many values the smallest, or the greatest when descending."""
    return tuple(_sort_value(match, key) for key in keys)


def _sort_value(match: Match, key: SortKey) -> SortValue:
    if key.param == "_id":
        return match.container[1] if match.container else match.row.key.id
    if key.param == "_lastUpdated":
        return instant_interval(match.row.version.last_updated)[0]
    values = list(_values(match.entries, key.param, 1 if key.descending else 0))
    if not values:
        return None
    order = sorted(values, key=lambda value: _Ordered(value, key.descending))
    return order[0]


def _values(entries: IndexEntries, param: str, end: int) -> Iterable[SortValue]:
    """Give what one parameter sorts by; `end` is 1 for the upper bounds of intervals."""
    yield from (row[1] for row in entries.strings if row[0] == param)
    yield from (row[2] for row in entries.tokens if row[0] == param)
    yield from (row[1 + end] for row in entries.dates if row[0] == param)
    yield from (row[1 + end] for row in entries.numbers if row[0] == param)
    yield from ((row[5] or row[1:3])[end] for row in entries.quantities if row[0] == param)
    yield from (row[1] for row in entries.uris if row[0] == param)
    yield from (row[3] or f"{row[1]}/{row[2]}" for row in entries.references if row[0] == param)
