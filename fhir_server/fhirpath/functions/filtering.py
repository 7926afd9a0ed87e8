"""Functions that filter, project, order and fold a collection by an expression on each item.

Spec: https://hl7.org/fhirpath/N1/#filtering-and-projection and #aggregates
"""

from collections.abc import Mapping
from functools import cmp_to_key
from typing import Any

from fhir_server.fhirpath.context import Run
from fhir_server.fhirpath.equality import identity
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.functions.function import Function, Step, fixed
from fhir_server.fhirpath.node import Collection, Item
from fhir_server.fhirpath.operators import divide, order_values, plus
from fhir_server.fhirpath.values import describe, single, truth


def where(run: Run, focus: Collection, criteria: Step) -> Collection:
    """`where(criteria)`."""
    outer = run.index
    kept = []
    for run.index, item in enumerate(focus):
        run.visit()
        if truth(criteria(run, [item]), "where()"):
            kept.append(item)
    run.index = outer
    return kept


def select(run: Run, focus: Collection, projection: Step) -> Collection:
    """`select(projection)`: the results of all items, one after the other."""
    outer = run.index
    found: Collection = []
    for run.index, item in enumerate(focus):
        run.visit()
        found += projection(run, [item])
        run.bounded(found)
    run.index = outer
    return found


def repeat(run: Run, focus: Collection, projection: Step) -> Collection:
    """`repeat(projection)`: the projection, and again of what it gave, until nothing new comes."""
    return _repeat(run, focus, projection, set())


def repeat_all(run: Run, focus: Collection, projection: Step) -> Collection:
    """`repeatAll(projection)`: `repeat` that keeps items which are equal to others."""
    return _repeat(run, focus, projection, None)


def _repeat(run: Run, focus: Collection, projection: Step, seen: set[Any] | None) -> Collection:
    found: Collection = []
    pending = focus
    while pending:
        fresh: Collection = []
        for item in select(run, pending, projection):
            if seen is None or (key := identity(item)) not in seen:
                fresh.append(item)
                if seen is not None:
                    seen.add(key)
        found += fresh
        pending = run.bounded(found) and fresh
    return found


def aggregate(run: Run, focus: Collection, aggregator: Step, start: Step | None = None) -> Collection:
    """`aggregate(aggregator [, start])`: a fold, with the result so far in `$total`."""
    outer = run.index, run.total
    total = start(run, focus) if start else []
    for run.index, item in enumerate(focus):
        run.visit()
        run.total = total
        total = run.bounded(aggregator(run, [item]))
    run.index, run.total = outer
    return total


def sort(run: Run, focus: Collection, *keys: tuple[Step, bool]) -> Collection:
    """`sort([key [, ...]])`: by the items themselves or by keys, each ascending or (when true) descending.

    Spec: https://hl7.org/fhirpath/#sortkeyselector-ascdesc
    """
    run.visit(len(focus))
    rows = [([_sort_value(run, item, key) for key, _ in keys] or [single([item], "sort()")], item) for item in focus]
    directions = [descending for _, descending in keys] or [False]

    def compare(left: tuple[list[Any], Item], right: tuple[list[Any], Item]) -> int:
        found = (_order(a, b, -1 if d else 1) for a, b, d in zip(left[0], right[0], directions, strict=True))
        return next(filter(None, found), 0)

    return [item for _, item in sorted(rows, key=cmp_to_key(compare))]


def _sort_value(run: Run, item: Item, key: Step) -> Any:
    return single(key(run, [item]), "sort()")


def _order(left: Any, right: Any, direction: int) -> int:
    """Order of two keys; a key that is missing comes first in both directions, as the official suite has it."""
    if left is None or right is None:
        return (left is not None) - (right is not None)
    found = order_values(left, right)
    if found is NotImplemented:
        raise FhirPathError(f"sort() does not order {describe(left)} and {describe(right)}")
    return direction * (found or 0)


def total_of(run: Run, focus: Collection) -> Collection:
    """`sum()`."""
    run.visit(len(focus))
    total = focus[:1]
    for item in focus[1:]:
        total = plus(total, [item])
    return total


def average(run: Run, focus: Collection) -> Collection:
    """`avg()`."""
    return divide(total_of(run, focus), [len(focus)]) if focus else []


def least(run: Run, focus: Collection) -> Collection:
    """`min()`."""
    return sort(run, focus)[:1]


def greatest(run: Run, focus: Collection) -> Collection:
    """`max()`."""
    return sort(run, focus)[-1:]


FUNCTIONS: Mapping[str, Function] = {
    "where": Function(where, 1, 1, lazy=True),
    "select": Function(select, 1, 1, lazy=True),
    "repeat": Function(repeat, 1, 1, lazy=True),
    "repeatAll": Function(repeat_all, 1, 1, lazy=True),
    "aggregate": Function(aggregate, 1, 2, lazy=True),
    "sort": Function(sort, 0, 16, lazy=True),
    "sum": fixed(total_of),
    "avg": fixed(average),
    "min": fixed(least),
    "max": fixed(greatest),
}
