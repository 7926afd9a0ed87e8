"""Evaluating expression constraints as algebra of sets of concept numbers.

Spec: https://confluence.ihtsdotools.org/display/DOCECL/6.+Examples
"""

import time
from collections.abc import Callable, Mapping, Sequence
from operator import and_, or_, sub

from fhir_server.errors import BadValue, TooCostly
from fhir_server.terminology.systems.ecl.filters import passing
from fhir_server.terminology.systems.ecl.parser import parse
from fhir_server.terminology.systems.ecl.refinement import refined, values_of
from fhir_server.terminology.systems.ecl.syntax import (
    Anything,
    Code,
    Compound,
    Dotted,
    Expression,
    Filtered,
    Refined,
    Related,
)
from fhir_server.terminology.systems.intervals import EMPTY, Intervals
from fhir_server.terminology.systems.store import Store

_SECONDS = 5.0


def evaluate(store: Store, source: str) -> Intervals:
    """Return the concepts that an expression constraint holds for.

    Raises:
        BadValue: it is no expression constraint, names a concept that there is not, or needs what is not supported.
        TooCostly: it takes too long.
    """
    return _Evaluation(store).of(parse(source))


class _Evaluation:
    """One evaluation, which has a bounded time; it looks at the clock before each part of an expression."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._until = time.monotonic() + _SECONDS

    def of(self, expression: Expression) -> Intervals:
        """Return the concepts of a part."""
        if time.monotonic() > self._until:
            raise TooCostly(f"the expression constraint takes more than {_SECONDS:.0f} s")
        store = self._store
        match expression:
            case Code(code):
                return _concept(store, code)
            case Anything():
                return store.all()
            case Related("^", Anything()):
                return _of_lists(store, store.lists())
            case Related(operator, inner):
                return _RELATED[operator](store, self.of(inner))
            case Compound(operator, parts):
                return self._compound(operator, parts)
            case Dotted(inner, attribute):
                return values_of(store, self.of(inner), store.kinds_of(self.of(attribute)))
            case Refined(focus, refinement):
                return refined(store, self.of(focus), refinement, self.of)
            case Filtered(inner, tests):
                return passing(store, self.of(inner), tests)

    def _compound(self, operator: str, parts: Sequence[Expression]) -> Intervals:
        first, *others = parts
        found = self.of(first)
        for other in others:
            found = _JOINED[operator](found, self.of(other))
        return found


_JOINED: Mapping[str, Callable[[Intervals, Intervals], Intervals]] = {"AND": and_, "OR": or_, "MINUS": sub}


def _concept(store: Store, code: str) -> Intervals:
    number = store.number(code)
    if number is None:
        raise BadValue(f"expression constraint: there is no concept {code[:50]} in {store.header.version}")
    return Intervals((number, number + 1))


def _of_lists(store: Store, lists: Intervals) -> Intervals:
    found = EMPTY
    for number in lists:
        found = found | store.members(number)
    return found


def _strictly_below(store: Store, numbers: Intervals) -> Intervals:
    if len(numbers) == 1:
        return store.below_all(numbers) - numbers
    return store.below_all(store.children(numbers))


def _strictly_above(store: Store, numbers: Intervals) -> Intervals:
    return store.above_all(store.parents(numbers))


def _top(store: Store, numbers: Intervals) -> Intervals:
    """Return those with none of the others above them."""
    return numbers - _strictly_below(store, numbers)


def _bottom(store: Store, numbers: Intervals) -> Intervals:
    return numbers - _strictly_above(store, numbers)


_RELATED: Mapping[str, Callable[[Store, Intervals], Intervals]] = {
    "<": _strictly_below,
    "<<": lambda store, numbers: store.below_all(numbers),
    "<!": lambda store, numbers: store.children(numbers),
    "<<!": lambda store, numbers: store.children(numbers) | numbers,
    ">": _strictly_above,
    ">>": lambda store, numbers: store.above_all(numbers),
    ">!": lambda store, numbers: store.parents(numbers),
    ">>!": lambda store, numbers: store.parents(numbers) | numbers,
    "!!>": _top,
    "!!<": _bottom,
    "^": _of_lists,
}
