"""Refinements: which concepts have attributes, in one role group or in any, as often as is asked for.

Spec: https://confluence.ihtsdotools.org/display/DOCECL/6.2+Refinements
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from operator import eq, ge, gt, le, lt, ne

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
        case Junction(operator, parts):
            found = [refined(store, focus, part, evaluate) for part in parts]
            return _all(found) if operator == "AND" else _any(found)
        case Group(cardinality, inner):
            groups = _groups(store, inner, evaluate)
            return _as_often(focus, cardinality, Counter(concept for concept, _ in groups))
        case Attribute(cardinality):
            counts = Counter(concept for concept, _ in _occurrences(store, refinement, evaluate))
            return _as_often(focus, cardinality, counts)


def _groups(store: Store, refinement: Refinement, evaluate: Evaluate) -> set[Place]:
    """Return the role groups that a refinement holds for within the group."""
    match refinement:
        case Junction(operator, parts):
            found = [_groups(store, part, evaluate) for part in parts]
            return set.intersection(*found) if operator == "AND" else set.union(*found)
        case Group():
            raise BadValue("expression constraint: a group within a group")
        case Attribute(cardinality):
            counts = Counter(_occurrences(store, refinement, evaluate))
            found_groups = {place for place, count in counts.items() if _allowed(cardinality, count)}
            return found_groups if cardinality.least else found_groups | (_every_group(store) - counts.keys())


def _every_group(store: Store) -> set[Place]:
    rows = store.query("SELECT DISTINCT source, grp, kind, target FROM relation")
    return {(source, _group(group, kind, target)) for source, group, kind, target in rows}


def _group(group: int, kind: int, target: int) -> int:
    return group or -(kind << 32 | target) - 1


def _as_often(focus: Intervals, cardinality: Cardinality, counts: "Counter[int]") -> Intervals:
    if cardinality.least == 0:
        return focus - Intervals.of_numbers(c for c, count in counts.items() if not _allowed(cardinality, count))
    return focus & Intervals.of_numbers(c for c, count in counts.items() if _allowed(cardinality, count))


def _allowed(cardinality: Cardinality, count: int) -> bool:
    return count >= cardinality.least and (cardinality.most is None or count <= cardinality.most)


def _occurrences(store: Store, attribute: Attribute, evaluate: Evaluate) -> Iterator[Place]:
    """Yield concept and group of each attribute that fits."""
    kinds = store.kinds_of(evaluate(attribute.name))
    if isinstance(attribute.value, Sequence):
        return _concrete(store, kinds, attribute.operator, attribute.value)
    values = evaluate(attribute.value)
    if attribute.operator == "!=":
        values = store.all() - values
    if attribute.reverse:
        return _reversed(store, kinds, values)
    return _relations(store, kinds, values)


def _relations(store: Store, kinds: Sequence[int], values: Intervals) -> Iterator[Place]:
    sql = "SELECT source, grp, target FROM relation WHERE kind = ? AND target >= ? AND target < ?"
    for kind in kinds:
        for source, group, target in store.each(sql, values, kind):
            yield source, _group(group, kind, target)


def _reversed(store: Store, kinds: Sequence[int], values: Intervals) -> Iterator[Place]:
    wanted = set(kinds)
    rows = store.each("SELECT kind, source, target, grp FROM relation WHERE source >= ? AND source < ?", values)
    return ((target, _group(group, kind, source)) for kind, source, target, group in rows if kind in wanted)


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


def _all(sets: Sequence[Intervals]) -> Intervals:
    found, *others = sets
    for other in others:
        found = found & other
    return found


def _any(sets: Sequence[Intervals]) -> Intervals:
    found, *others = sets
    for other in others:
        found = found | other
    return found
