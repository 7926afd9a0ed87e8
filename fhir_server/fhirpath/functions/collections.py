"""Functions that take parts of collections, put them together, or walk down the tree.

Spec: https://hl7.org/fhirpath/N1/#subsetting, #combining and #tree-navigation
"""

from collections.abc import Mapping

from fhir_server.fhirpath import node as nodes
from fhir_server.fhirpath.context import Run
from fhir_server.fhirpath.equality import distinct, identity
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.functions.function import Function, Step, fixed
from fhir_server.fhirpath.node import Collection, Node
from fhir_server.fhirpath.values import integer


def single(run: Run, focus: Collection) -> Collection:
    """`single()`: the only item; several are an error."""
    if len(focus) > 1:
        raise FhirPathError(f"single() found {len(focus)} items")
    return focus


def first(run: Run, focus: Collection) -> Collection:
    """`first()`."""
    return focus[:1]


def last(run: Run, focus: Collection) -> Collection:
    """`last()`."""
    return focus[-1:]


def tail(run: Run, focus: Collection) -> Collection:
    """`tail()`: all but the first."""
    return focus[1:]


def skip(run: Run, focus: Collection, count: Collection) -> Collection:
    """`skip(n)`; nothing for an empty number."""
    number = integer(count, "skip()")
    return [] if number is None else focus[max(0, number) :]


def take(run: Run, focus: Collection, count: Collection) -> Collection:
    """`take(n)`; nothing for an empty number."""
    number = integer(count, "take()")
    return [] if number is None else focus[: max(0, number)]


def intersect(run: Run, focus: Collection, other: Collection) -> Collection:
    """`intersect(other)`: the items of both, without repetitions."""
    known = {identity(item) for item in other}
    return [item for item in distinct(focus) if identity(item) in known]


def exclude(run: Run, focus: Collection, other: Collection) -> Collection:
    """`exclude(other)`: repetitions and order are kept."""
    known = {identity(item) for item in other}
    return [item for item in focus if identity(item) not in known]


def union(run: Run, focus: Collection, other: Collection) -> Collection:
    """`union(other)`."""
    return run.bounded(distinct(focus + other))


def combine(run: Run, focus: Collection, other: Collection, order: Collection | None = None) -> Collection:
    """`combine(other)`: repetitions are kept."""
    return run.bounded(focus + other)


def coalesce(run: Run, this: Collection, *choices: Step) -> Collection:
    """`coalesce(...)`: the first argument that is not empty; those behind it are not evaluated.

    Spec: https://hl7.org/fhirpath/#coalescevalue--collection
    """
    return next((found for choice in choices if (found := choice(run, this))), [])


def children(run: Run, focus: Collection) -> Collection:
    """`children()`."""
    found: Collection = []
    for item in focus:
        if isinstance(item, Node):
            found += nodes.children(item, run.model)
    run.visit(len(found))
    return run.bounded(found)


def descendants(run: Run, focus: Collection) -> Collection:
    """`descendants()`: all children and theirs, level by level."""
    found: Collection = []
    level = children(run, focus)
    while level:
        found += level
        run.bounded(found)
        level = children(run, level)
    return found


FUNCTIONS: Mapping[str, Function] = {
    "single": fixed(single),
    "first": fixed(first),
    "last": fixed(last),
    "tail": fixed(tail),
    "skip": fixed(skip, 1),
    "take": fixed(take, 1),
    "intersect": fixed(intersect, 1),
    "exclude": fixed(exclude, 1),
    "union": fixed(union, 1),
    "combine": Function(combine, 1, 2),
    "coalesce": Function(coalesce, 1, 64, lazy=True),
    "children": fixed(children),
    "descendants": fixed(descendants),
}
