"""The order of a search, in steps that an index can walk.

What has no value comes last whatever the direction; MongoDB puts it first in an ascending order. So a search runs in
steps: first those that have a value for the first key, then those that have none, and so on for each key.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from fhir_server.search.query import Cursor, Search, SortKey
from fhir_server.storage.mongodb.document import Document, sort_name, sort_values
from fhir_server.storage.mongodb.rows import Order, Row

MOST_KEYS: Final = 3
"""Keys that may be without a value, up to which a search is sorted by the server."""
_ALWAYS: Final = {"_id": "i", "_lastUpdated": "u"}
_VALUES: Final = "z."

SortValue = str | float | int | None


@dataclass(frozen=True, slots=True)
class Step:
    """Part of an order: the resources that have a value for exactly some of the keys."""

    match: Document
    order: Order


def is_sortable(search: Search) -> bool:
    """Tell whether the server can sort it."""
    return sum(key.param not in _ALWAYS for key in search.sort) <= MOST_KEYS


def steps(search: Search) -> Iterator[Step]:
    """Yield the steps that are left behind the cursor of the search."""
    choices = [(True,) if key.param in _ALWAYS else (True, False) for key in search.sort]
    begun = None if search.after is None else tuple(value is not None for value in search.after.values)
    for present in product(*choices):
        if begun is None or present < begun:
            yield _step(search, present, None)
        elif present == begun:
            yield _step(search, present, search.after)


def values_of(row: Row, keys: Sequence[SortKey]) -> tuple[SortValue, ...]:
    """Return what a row is sorted by."""
    values = sort_values(row.entries)
    return tuple(_value(row, values, key) for key in keys)


def _value(row: Row, values: Document, key: SortKey) -> SortValue:
    if key.param == "_id":
        return row.key.id
    if key.param == "_lastUpdated":
        return row.version.last_updated * 1000
    found: SortValue = values.get(sort_name(key.param), {}).get("d" if key.descending else "a")
    return found


def _field(key: SortKey) -> str:
    return _ALWAYS.get(key.param) or f"{_VALUES}{sort_name(key.param)}.{'d' if key.descending else 'a'}"


def _step(search: Search, present: Sequence[bool], after: Cursor | None) -> Step:
    parts: list[Document] = [
        {_field(key): {"$exists": has}}
        for key, has in zip(search.sort, present, strict=True)
        if key.param not in _ALWAYS
    ]
    kept = [number for number, has in enumerate(present) if has]
    order = [(_field(search.sort[number]), -1 if search.sort[number].descending else 1) for number in kept]
    order.append(("_id", -1 if search.newest_first else 1))
    if after is not None:
        bounds = [*(_bound(search.sort[number], after.values[number]) for number in kept), after.pid]
        parts += [_from(*order[0], bounds[0]), _behind(order, bounds)]
    return Step({"$and": parts} if parts else {}, order)


def _bound(key: SortKey, value: SortValue) -> Any:
    return int(value or 0) // 1000 if key.param == "_lastUpdated" else value


def _from(field: str, direction: int, bound: Any) -> Document:
    """Return where an index begins to be walked; `_behind` alone may be read as a filter of all of it."""
    return _beyond(field, direction, bound, equal=True)


def _beyond(field: str, direction: int, bound: Any, *, equal: bool = False) -> Document:
    """Return the filter for what is greater than a value, or less.

    Comparisons find values of one kind alone, but a parameter may have numbers in some resources and texts, which come
    behind them, in others: what is not before a number is behind it, whatever it is.
    Manual: https://www.mongodb.com/docs/manual/reference/method/db.collection.find/#type-bracketing
    """
    up = direction > 0
    if field.startswith(_VALUES) and isinstance(bound, str) is not up:
        before = ("$lt" if up else "$gt") if equal else ("$lte" if up else "$gte")
        return {field: {"$not": {before: bound}}}
    behind = ("$gte" if up else "$lte") if equal else ("$gt" if up else "$lt")
    return {field: {behind: bound}}


def _behind(order: Order, bounds: Sequence[Any]) -> Document:
    """Return the filter for what stands behind a place: equal in the first keys, beyond it in the next."""
    cases: list[Document] = []
    for number, (field, direction) in enumerate(order):
        equal = {name: bounds[at] for at, (name, _) in enumerate(order[:number])}
        cases.append(equal | _beyond(field, direction, bounds[number]))
    return {"$or": cases}
