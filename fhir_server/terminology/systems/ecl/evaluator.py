"""Evaluating expression constraints as algebra of sets of concept numbers.

Spec: https://confluence.ihtsdotools.org/display/DOCECL/6.+Examples
"""

from collections.abc import Callable, Mapping

from fhir_server.errors import BadValue
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


def evaluate(store: Store, source: str) -> Intervals:
    """Return the concepts that an expression constraint holds for.

    Raises:
        BadValue: it is no expression constraint, names a concept that there is not, or needs what is not supported.
    """
    return _evaluate(store, parse(source))


def _evaluate(store: Store, expression: Expression) -> Intervals:
    match expression:
        case Code(code):
            return _concept(store, code)
        case Anything():
            return store.all()
        case Related("^", Anything()):
            return _of_lists(store, store.lists())
        case Related(operator, inner):
            return _RELATED[operator](store, _evaluate(store, inner))
        case Compound(operator, parts):
            return _compound(operator, [_evaluate(store, part) for part in parts])
        case Dotted(inner, attribute):
            return values_of(store, _evaluate(store, inner), store.kinds_of(_evaluate(store, attribute)))
        case Refined(focus, refinement):
            return refined(store, _evaluate(store, focus), refinement, lambda inner: _evaluate(store, inner))
        case Filtered(inner, tests):
            return passing(store, _evaluate(store, inner), tests)


def _concept(store: Store, code: str) -> Intervals:
    number = store.number(code)
    if number is None:
        raise BadValue(f"expression constraint: there is no concept {code[:50]} in {store.header.version}")
    return Intervals((number, number + 1))


def _compound(operator: str, parts: list[Intervals]) -> Intervals:
    found, *others = parts
    for other in others:
        if operator == "AND":
            found = found & other
        elif operator == "OR":
            found = found | other
        else:
            found = found - other
    return found


def _of_lists(store: Store, lists: Intervals) -> Intervals:
    found = EMPTY
    for number in lists:
        found = found | store.members(number)
    return found


def _strictly_below(store: Store, numbers: Intervals) -> Intervals:
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
