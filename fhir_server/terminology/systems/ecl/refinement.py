"""Refinements: which concepts have attributes, in one role group or in any, as often as is asked for.

Spec: https://confluence.ihtsdotools.org/display/DOCECL/6.2+Refinements
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from functools import reduce
from operator import eq, ge, gt, le, lt, ne, or_

from fhir_server.errors import BadValue
from fhir_server.terminology.systems.ecl.syntax import (
    Attribute,
    Cardinality,
    Expression,
    Group,
    Junction,
    Literal,
    Refinement,
)
from fhir_server.terminology.systems.intervals import Intervals
from fhir_server.terminology.systems.store import Store

Evaluate = Callable[[Expression], Intervals]
Place = tuple[int, int]
"""A concept and a role group; an attribute that is in none (group 0 of RF2) makes one by itself, below 0."""

_COMPARE = {"=": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}


def values_of(store: Store, numbers: Intervals, kinds: Sequence[int]) -> Intervals:
    """Return the targets of relations of some kinds."""
    wanted = set(kinds)
    rows = store.each("SELECT DISTINCT kind, target FROM relation WHERE source >= ? AND source < ?", numbers)
    return Intervals.of_numbers({target for kind, target in rows if kind in wanted})


def refined(store: Store, focus: Intervals, refinement: Refinement, evaluate: Evaluate) -> Intervals:
    """Return those of the focus that a refinement holds for."""
    match refinement:
        case Junction("AND", parts):
            for part in parts:
                focus = refined(store, focus, part, evaluate)
            return focus
        case Junction(_, parts):
            return reduce(or_, (refined(store, focus, part, evaluate) for part in parts))
        case Group(cardinality, inner):
            groups = _groups(store, focus, inner, evaluate)
            return _as_often(focus, cardinality, Counter(concept for concept, _ in groups))
        case Attribute(cardinality):
            counts = Counter(concept for concept, _ in _occurrences(store, focus, refinement, evaluate))
            return _as_often(focus, cardinality, counts)


def _groups(store: Store, focus: Intervals, refinement: Refinement, evaluate: Evaluate) -> set[Place]:
    """Return the role groups that a refinement holds for within the group."""
    match refinement:
        case Junction(operator, parts):
            found = [_groups(store, focus, part, evaluate) for part in parts]
            return set.intersection(*found) if operator == "AND" else set.union(*found)
        case Group():
            raise BadValue("expression constraint: a group within a group")
        case Attribute(cardinality):
            counts = Counter(_occurrences(store, focus, refinement, evaluate))
            found_groups = {place for place, count in counts.items() if _allowed(cardinality, count)}
            return found_groups if cardinality.least else found_groups | (_every_group(store, focus) - counts.keys())


def _every_group(store: Store, focus: Intervals) -> set[Place]:
    rows = store.each("SELECT source, grp, kind, target FROM relation WHERE source >= ? AND source < ?", focus)
    return {(source, _group(group, kind, target)) for source, group, kind, target in rows}


def _group(group: int, kind: int, target: int) -> int:
    return group or -(kind << 32 | target) - 1


def _as_often(focus: Intervals, cardinality: Cardinality, counts: "Counter[int]") -> Intervals:
    if cardinality.least == 0:
        return focus - Intervals.of_numbers(c for c, count in counts.items() if not _allowed(cardinality, count))
    return focus & Intervals.of_numbers(c for c, count in counts.items() if _allowed(cardinality, count))


def _allowed(cardinality: Cardinality, count: int) -> bool:
    return count >= cardinality.least and (cardinality.most is None or count <= cardinality.most)


def _occurrences(store: Store, focus: Intervals, attribute: Attribute, evaluate: Evaluate) -> Iterator[Place]:
    """Yield concept and group of each attribute that fits; those of other concepts than the focus may be among them."""
    kinds = store.kinds_of(evaluate(attribute.name))
    if isinstance(attribute.value, Sequence):
        return _concrete(store, kinds, attribute.operator, attribute.value)
    values = evaluate(attribute.value)
    if attribute.operator == "!=":
        values = store.all() - values
    if attribute.reverse:
        return _relations_from(store, kinds, values, focus, reverse=True)
    # Whichever is less to look at: the attributes of the focus, or where the values are used.
    if len(focus) < len(values):
        return _relations_from(store, kinds, focus, values)
    return _relations_to(store, kinds, values)


def _relations_to(store: Store, kinds: Sequence[int], values: Intervals) -> Iterator[Place]:
    sql = "SELECT source, grp, target FROM relation WHERE kind = ? AND target >= ? AND target < ?"
    for kind in kinds:
        for source, group, target in store.each(sql, values, kind):
            yield source, _group(group, kind, target)


def _relations_from(
    store: Store, kinds: Sequence[int], sources: Intervals, targets: Intervals, *, reverse: bool = False
) -> Iterator[Place]:
    wanted = set(kinds)
    for source, group, kind, target in store.each(
        "SELECT source, grp, kind, target FROM relation WHERE source >= ? AND source < ?", sources
    ):
        if kind in wanted and target in targets:
            yield (target, _group(group, kind, source)) if reverse else (source, _group(group, kind, target))


def _concrete(store: Store, kinds: Sequence[int], operator: str, literals: Sequence[Literal]) -> Iterator[Place]:
    for kind in kinds:
        for concept, group, value in store.query("SELECT concept, grp, value FROM property WHERE kind = ?", kind):
            held = [_compares(operator, value, literal) for literal in literals]
            if all(held) if operator == "!=" else any(held):
                yield concept, _group(group, kind, 0)


def _compares(operator: str, value: str, literal: Literal) -> bool:
    compare = _COMPARE[operator]
    if not literal.number:
        return bool(compare(value, literal.text))
    try:
        return bool(compare(Decimal(value), Decimal(literal.text)))
    except InvalidOperation:
        return False
