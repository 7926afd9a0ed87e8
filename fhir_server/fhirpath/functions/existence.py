"""Functions that ask what a collection holds.

Spec: https://hl7.org/fhirpath/N1/#existence
"""

from collections.abc import Mapping

from fhir_server.fhirpath.context import Run
from fhir_server.fhirpath.equality import distinct, identity
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.functions.filtering import where
from fhir_server.fhirpath.functions.function import Function, Step, fixed
from fhir_server.fhirpath.node import Collection, Item
from fhir_server.fhirpath.values import describe, system, truth


def empty(run: Run, focus: Collection) -> Collection:
    """`empty()`."""
    return [not focus]


def exists(run: Run, focus: Collection, criteria: Step | None = None) -> Collection:
    """`exists([criteria])`."""
    return [bool(focus if criteria is None else where(run, focus, criteria))]


def every(run: Run, focus: Collection, criteria: Step) -> Collection:
    """`all(criteria)`: true for an empty collection."""
    outer = run.index
    for run.index, item in enumerate(focus):
        run.visit()
        if truth(criteria(run, [item])) is not True:
            run.index = outer
            return [False]
    run.index = outer
    return [True]


def _boolean(item: Item) -> bool:
    value = system(item)
    if not isinstance(value, bool):
        raise FhirPathError(f"a boolean is needed, not {describe(item)}")
    return value


def all_true(run: Run, focus: Collection) -> Collection:
    """`allTrue()`."""
    return [all(_boolean(item) for item in focus)]


def any_true(run: Run, focus: Collection) -> Collection:
    """`anyTrue()`."""
    return [any(_boolean(item) for item in focus)]


def all_false(run: Run, focus: Collection) -> Collection:
    """`allFalse()`."""
    return [not any(_boolean(item) for item in focus)]


def any_false(run: Run, focus: Collection) -> Collection:
    """`anyFalse()`."""
    return [not all(_boolean(item) for item in focus)]


def subset_of(run: Run, focus: Collection, other: Collection) -> Collection:
    """`subsetOf(other)`."""
    known = {identity(item) for item in other}
    return [all(identity(item) in known for item in focus)]


def superset_of(run: Run, focus: Collection, other: Collection) -> Collection:
    """`supersetOf(other)`."""
    return subset_of(run, other, focus)


def count(run: Run, focus: Collection) -> Collection:
    """`count()`."""
    return [len(focus)]


def unique(run: Run, focus: Collection) -> Collection:
    """`distinct()`."""
    return distinct(focus)


def is_distinct(run: Run, focus: Collection) -> Collection:
    """`isDistinct()`."""
    return [len(distinct(focus)) == len(focus)]


def negation(run: Run, focus: Collection) -> Collection:
    """`not()`."""
    value = truth(focus, "not()")
    return [] if value is None else [not value]


FUNCTIONS: Mapping[str, Function] = {
    "empty": fixed(empty),
    "exists": Function(exists, 0, 1, lazy=True),
    "all": Function(every, 1, 1, lazy=True),
    "allTrue": fixed(all_true),
    "anyTrue": fixed(any_true),
    "allFalse": fixed(all_false),
    "anyFalse": fixed(any_false),
    "subsetOf": fixed(subset_of, 1),
    "supersetOf": fixed(superset_of, 1),
    "count": fixed(count),
    "distinct": fixed(unique),
    "isDistinct": fixed(is_distinct),
    "not": fixed(negation),
}
