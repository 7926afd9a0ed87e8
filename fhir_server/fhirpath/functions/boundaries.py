"""Functions on the precision of values: bounds of what a value may stand for, and comparability of units.

Spec: https://hl7.org/fhirpath/#lowboundaryprecision-integer-decimal--date--datetime--time and
https://hl7.org/fhir/fhirpath.html#fn-comparable
"""

from collections.abc import Mapping
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Any

from fhir_server.fhirpath import node as nodes
from fhir_server.fhirpath import temporal_arithmetic
from fhir_server.fhirpath.context import Run
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.functions.function import Function, answer, fixed
from fhir_server.fhirpath.node import Collection, Node
from fhir_server.fhirpath.quantity import Quantity, in_base_units
from fhir_server.fhirpath.temporal import Temporal
from fhir_server.fhirpath.values import WIDE, describe, integer, single

_DECIMAL_PLACES = 8
_MAX_PLACES = 28
_DEFAULT_DIGITS = {"Date": 8, "DateTime": 17, "Time": 9}


def low_boundary(run: Run, focus: Collection, precision: Collection | None = None) -> Collection:
    """`lowBoundary([precision])`."""
    return _boundary(_of_period(run, focus, "start"), precision, high=False)


def high_boundary(run: Run, focus: Collection, precision: Collection | None = None) -> Collection:
    """`highBoundary([precision])`."""
    return _boundary(_of_period(run, focus, "end"), precision, high=True)


def _of_period(run: Run, focus: Collection, side: str) -> Collection:
    """The bound of a Period is that of its start or end; nothing where it is open on that side.

    Spec: https://sql-on-fhir.org/ig/StructureDefinition-ViewDefinition.html#required-core-fhirpath-expressionsfunctions
    """
    match focus:
        case [Node(type="Period") as period]:
            return list(nodes.members(period, side, run.model))
    return focus


def _boundary(focus: Collection, precision: Collection | None, *, high: bool) -> Collection:
    name = "highBoundary()" if high else "lowBoundary()"
    value = single(focus, name)
    digits = integer(precision, name) if precision else None
    if value is None:
        return []
    if isinstance(value, Temporal):
        wanted = _DEFAULT_DIGITS[value.kind] if digits is None else digits
        return answer(temporal_arithmetic.boundary(value, wanted, high=high))
    if isinstance(value, Quantity):
        bound = _decimal_boundary(value.value, digits, high=high)
        return [] if bound is None else [Quantity(bound, value.unit, value.calendar)]
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return answer(_decimal_boundary(Decimal(value), digits, high=high))
    raise FhirPathError(f"{name} does not take {describe(focus[0])}")


def _decimal_boundary(value: Decimal, digits: int | None, *, high: bool) -> Decimal | None:
    """A bound half a unit of the last digit away, to some decimals; None when so many cannot be had.

    Towards zero digits are cut off, away from it they are rounded: the official suite has 0.0 for
    `0.0034.highBoundary(1)` and 1.59 for `1.587.highBoundary(2)`.
    """
    places = _DECIMAL_PLACES if digits is None else digits
    if not 0 <= places <= _MAX_PLACES:
        return None
    half = Decimal(5).scaleb(int(value.as_tuple().exponent) - 1)
    bound = WIDE.add(value, half if high else -half)
    outwards = (value >= 0) == high
    return bound.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP if outwards else ROUND_DOWN, WIDE)


def precision(run: Run, focus: Collection) -> Collection:
    """`precision()`: decimals of a number, digits of a date or time.

    Spec: https://hl7.org/fhirpath/#precision--integer
    """
    value: Any = single(focus, "precision()")
    if value is None:
        return []
    if isinstance(value, Temporal):
        return [temporal_arithmetic.precision(value)]
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return [max(0, -int(Decimal(value).as_tuple().exponent))]
    raise FhirPathError(f"precision() does not take {describe(focus[0])}")


def comparable(run: Run, focus: Collection, other: Collection) -> Collection:
    """`comparable(quantity)`: whether two quantities measure the same thing."""
    left, right = single(focus, "comparable()"), single(other, "comparable()")
    if left is None or right is None:
        return []
    if not (isinstance(left, Quantity) and isinstance(right, Quantity)):
        raise FhirPathError("comparable() takes quantities")
    a, b = in_base_units(left), in_base_units(right)
    return [a is not None and b is not None and a[1] == b[1]]


FUNCTIONS: Mapping[str, Function] = {
    "lowBoundary": Function(low_boundary, 0, 1),
    "highBoundary": Function(high_boundary, 0, 1),
    "precision": fixed(precision),
    "comparable": fixed(comparable, 1),
}
