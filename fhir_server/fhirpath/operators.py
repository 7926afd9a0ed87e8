"""The operators on collections: arithmetic, comparison, boolean logic, membership.

Spec: https://hl7.org/fhirpath/N1/#operations
"""

import operator
from collections.abc import Callable, Mapping
from decimal import Decimal, DecimalException
from typing import Any, cast

from fhir_server.fhirpath import quantity as quantities
from fhir_server.fhirpath import temporal
from fhir_server.fhirpath.equality import as_quantity, distinct, equal, equal_items, equivalent
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.long import Long, fits
from fhir_server.fhirpath.node import Collection
from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.temporal import Temporal
from fhir_server.fhirpath.temporal_arithmetic import add_duration
from fhir_server.fhirpath.values import describe, single, string, truth

Operation = Callable[[Collection, Collection], Collection]


def _answer(value: Any) -> Collection:
    return [] if value is None else [value]


def equals(left: Collection, right: Collection) -> Collection:
    """`=`."""
    return _answer(equal(left, right))


def differs(left: Collection, right: Collection) -> Collection:
    """`!=`."""
    same = equal(left, right)
    return [] if same is None else [not same]


def is_equivalent(left: Collection, right: Collection) -> Collection:
    """`~`."""
    return [equivalent(left, right)]


def is_not_equivalent(left: Collection, right: Collection) -> Collection:
    """`!~`."""
    return [not equivalent(left, right)]


# --- order


def order(left: Collection, right: Collection, what: str) -> int | None:
    """-1, 0 or 1; None when an operand is empty or the precision leaves it open.

    Raises:
        FhirPathError: the operands are not single items of one ordered type.
    """
    if not left or not right:
        return None
    a, b = single(left, what), single(right, what)
    if a is None or b is None:
        return None
    result = order_values(a, b)
    if result is NotImplemented:
        raise FhirPathError(f"{what} does not compare {describe(left[0])} with {describe(right[0])}")
    return cast("int | None", result)


def order_values(a: Any, b: Any) -> Any:
    """-1, 0 or 1, None when open, NotImplemented when there is no order between the two."""
    if isinstance(a, bool) or isinstance(b, bool):
        return NotImplemented
    if isinstance(a, str) and isinstance(b, str):
        return (a > b) - (a < b)
    if isinstance(a, int | Decimal) and isinstance(b, int | Decimal):
        return (a > b) - (a < b)
    if isinstance(a, Temporal) and isinstance(b, Temporal):
        return temporal.compare(a, b) if temporal.comparable(a, b) else NotImplemented
    if isinstance(a, Quantity) or isinstance(b, Quantity):
        a, b = as_quantity(a), as_quantity(b)
        return quantities.compare(a, b) if a and b else NotImplemented
    return NotImplemented


def _comparison(symbol: str, holds: Callable[[int, int], bool]) -> Operation:
    def compare(left: Collection, right: Collection) -> Collection:
        found = order(left, right, f"'{symbol}'")
        return [] if found is None else [holds(found, 0)]

    return compare


# --- arithmetic


def _operands(left: Collection, right: Collection, symbol: str) -> tuple[Any, Any]:
    """Both operands; an empty one decides before it matters that the other one has several items."""
    if not left or not right:
        return None, None
    return single(left, f"'{symbol}'"), single(right, f"'{symbol}'")


def _mismatch(left: Collection, right: Collection, symbol: str) -> FhirPathError:
    return FhirPathError(f"'{symbol}' does not take {describe(left[0])} and {describe(right[0])}")


def _numeric(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def plus(left: Collection, right: Collection) -> Collection:
    """`+` of numbers, strings, quantities, and of a date or time and a duration."""
    a, b = _operands(left, right, "+")
    if a is None or b is None:
        return []
    if isinstance(a, str) and isinstance(b, str):
        return [a + b]
    if isinstance(a, Temporal) and isinstance(b, Quantity):
        return _answer(add_duration(a, b, 1))
    return _arithmetic((a, b), operator.add) or _sum((left, right), (a, b), 1)


def minus(left: Collection, right: Collection) -> Collection:
    """`-` of numbers, quantities, and of a date or time and a duration."""
    a, b = _operands(left, right, "-")
    if a is None or b is None:
        return []
    if isinstance(a, Temporal) and isinstance(b, Quantity):
        return _answer(add_duration(a, b, -1))
    return _arithmetic((a, b), operator.sub) or _sum((left, right), (a, b), -1)


def _sum(operands: tuple[Collection, Collection], values: tuple[Any, Any], sign: int) -> Collection:
    """The sum of two quantities."""
    if _numeric(values[0]) and _numeric(values[1]):
        return []
    a, b = as_quantity(values[0]), as_quantity(values[1])
    if a is None or b is None:
        raise _mismatch(*operands, "+" if sign > 0 else "-")
    return _answer(quantities.add(a, b, sign))


def _arithmetic(values: tuple[Any, Any], combine: Callable[[Any, Any], Any]) -> Collection:
    """A sum, difference or product of numbers; empty for other operands and on overflow."""
    if not (_numeric(values[0]) and _numeric(values[1])):
        return []
    try:
        result = combine(*values)
    except DecimalException:
        return []
    if not isinstance(result, int):
        return [result]
    if any(isinstance(value, Long) or not fits(value) for value in values):
        result = Long(result)
    return [result] if fits(result) else []


def times(left: Collection, right: Collection) -> Collection:
    """`*` of numbers and quantities."""
    a, b = _operands(left, right, "*")
    if a is None or b is None:
        return []
    if _numeric(a) and _numeric(b):
        return _arithmetic((a, b), operator.mul)
    first, second = as_quantity(a), as_quantity(b)
    if first is None or second is None:
        raise _mismatch(left, right, "*")
    if _numeric(a) or _numeric(b):
        of = second if _numeric(a) else first
        return [Quantity(first.value * second.value, of.unit, of.calendar)]
    return [quantities.multiply(first, second)]


def divide(left: Collection, right: Collection) -> Collection:
    """`/` of numbers (always a decimal) and quantities; empty when divided by zero."""
    a, b = _operands(left, right, "/")
    if a is None or b is None:
        return []
    if _numeric(a) and _numeric(b):
        return _guarded(lambda: Decimal(a) / Decimal(b)) if b else []
    first, second = as_quantity(a), as_quantity(b)
    if first is None or second is None:
        raise _mismatch(left, right, "/")
    if _numeric(b):
        return _guarded(lambda: Quantity(first.value / second.value, first.unit, first.calendar)) if b else []
    return _answer(quantities.divide(first, second))


def whole_divide(left: Collection, right: Collection) -> Collection:
    """`div`: division of numbers, cut off to an integer."""
    a, b = _numbers(left, right, "div")
    return _guarded(lambda: int(Decimal(a) // Decimal(b))) if b else []


def modulo(left: Collection, right: Collection) -> Collection:
    """`mod`: what truncated division leaves; it has the sign of the left operand."""
    a, b = _numbers(left, right, "mod")
    if not b:
        return []
    whole = isinstance(a, int) and isinstance(b, int)
    return _guarded(lambda: int(Decimal(a) % Decimal(b)) if whole else Decimal(a) % Decimal(b))


def _numbers(left: Collection, right: Collection, symbol: str) -> tuple[Any, Any]:
    """Both operands as numbers; a divisor of 0 stands for "there is no answer"."""
    a, b = _operands(left, right, symbol)
    if a is None or b is None:
        return 0, 0
    if not (_numeric(a) and _numeric(b)):
        raise _mismatch(left, right, symbol)
    return a, b


def _guarded(compute: Callable[[], Any]) -> Collection:
    try:
        return [compute()]
    except DecimalException:
        return []


def concatenate(left: Collection, right: Collection) -> Collection:
    """`&`: strings joined, an empty collection counting as the empty string."""
    return [(string(left, "'&'") or "") + (string(right, "'&'") or "")]


def negate(items: Collection, sign: str) -> Collection:
    """`-` and `+` before a number or quantity."""
    value = single(items, f"'{sign}'")
    if value is None:
        return []
    if isinstance(value, Quantity):
        return [Quantity(-value.value, value.unit, value.calendar) if sign == "-" else value]
    if not _numeric(value):
        raise FhirPathError(f"'{sign}' does not take {describe(items[0])}")
    if isinstance(value, Long) and sign == "-":
        return [Long(-value)]
    return [-value if sign == "-" else value]  # type: ignore[operator]


# --- boolean logic: three-valued, on single items


def conjunction(left: Collection, right: Collection) -> Collection:
    """`and`."""
    a, b = truth(left, "'and'"), truth(right, "'and'")
    if a is False or b is False:
        return [False]
    return [True] if a and b else []


def disjunction(left: Collection, right: Collection) -> Collection:
    """`or`."""
    a, b = truth(left, "'or'"), truth(right, "'or'")
    if a or b:
        return [True]
    return [] if a is None or b is None else [False]


def exclusive(left: Collection, right: Collection) -> Collection:
    """`xor`."""
    a, b = truth(left, "'xor'"), truth(right, "'xor'")
    return [] if a is None or b is None else [a is not b]


def implication(left: Collection, right: Collection) -> Collection:
    """`implies`."""
    a, b = truth(left, "'implies'"), truth(right, "'implies'")
    if a is False or b:
        return [True]
    return [False] if a and b is False else []


# --- collections


def union(left: Collection, right: Collection) -> Collection:
    """`|`: the items of both without repetitions."""
    return distinct(left + right)


def within(left: Collection, right: Collection) -> Collection:
    """`in`: whether the only item on the left is among those on the right."""
    if not left:
        return []
    if len(left) > 1:
        raise FhirPathError(f"'in' takes one item, there are {len(left)}")
    return [any(equal_items(left[0], item) for item in right)]


def contains(left: Collection, right: Collection) -> Collection:
    """`contains`: `in` the other way round."""
    return within(right, left)


OPERATORS: Mapping[str, Operation] = {
    "=": equals,
    "!=": differs,
    "~": is_equivalent,
    "!~": is_not_equivalent,
    "<": _comparison("<", operator.lt),
    ">": _comparison(">", operator.gt),
    "<=": _comparison("<=", operator.le),
    ">=": _comparison(">=", operator.ge),
    "+": plus,
    "-": minus,
    "*": times,
    "/": divide,
    "div": whole_divide,
    "mod": modulo,
    "&": concatenate,
    "and": conjunction,
    "or": disjunction,
    "xor": exclusive,
    "implies": implication,
    "|": union,
    "in": within,
    "contains": contains,
}
