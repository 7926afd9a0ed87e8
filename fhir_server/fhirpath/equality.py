"""Equal, equivalent, and the keys by which sets of items are kept.

Spec: https://hl7.org/fhirpath/N1/#equality
"""

from collections import Counter
from collections.abc import Hashable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from fhir_server.fhirpath import quantity as quantities
from fhir_server.fhirpath import temporal
from fhir_server.fhirpath.errors import LimitExceeded
from fhir_server.fhirpath.node import Collection, Item, Node
from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.temporal import Temporal
from fhir_server.fhirpath.values import WIDE, decimal, system

# White space as FHIRPath has it: https://hl7.org/fhirpath/N1/#whitespace
_SPACES = {ord(space): " " for space in "\t\r\n"}
# Every item is held against every other one, unless they are equal anyway.
_MAX_LOOSE = 1000


def equal(left: Collection, right: Collection) -> bool | None:
    """`=`: same items in the same order; None when either is empty or the precision leaves it open."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    unknown = False
    for a, b in zip(left, right, strict=True):
        same = equal_items(a, b)
        if same is False:
            return False
        unknown = unknown or same is None
    return None if unknown else True


def equal_items(left: Item, right: Item) -> bool | None:
    """Whether two items are equal; None when it cannot be known."""
    a, b = system(left), system(right)
    if type(a) is type(b) and isinstance(a, str | bool | int):
        return a == b
    if a is None or b is None:
        return _equal_valueless(left, right)
    if isinstance(a, Temporal) and isinstance(b, Temporal):
        return _order_is_same(temporal.compare(a, b)) if temporal.comparable(a, b) else False
    if isinstance(a, Node) or isinstance(b, Node):
        return isinstance(a, Node) and isinstance(b, Node) and frozen(a.value) == frozen(b.value)
    return _equal_numbers(a, b)


def _equal_numbers(a: Any, b: Any) -> bool | None:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, Quantity) or isinstance(b, Quantity):
        a, b = as_quantity(a), as_quantity(b)
        return quantities.equal(a, b) if a and b else False
    if isinstance(a, int | Decimal) and isinstance(b, int | Decimal):
        return a == b
    return False


def as_quantity(value: Any) -> Quantity | None:
    """A quantity, or a number as a quantity of unit 1."""
    if isinstance(value, Quantity):
        return value
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return Quantity(Decimal(value))
    return None


def _order_is_same(order: int | None) -> bool | None:
    return None if order is None else order == 0


def _equal_valueless(left: Item, right: Item) -> bool | None:
    """Elements that have only extensions are equal if these are; with a value they cannot be compared."""
    if isinstance(left, Node) and isinstance(right, Node) and left.value is None and right.value is None:
        return frozen(left.extra) == frozen(right.extra)
    return None


def equivalent(left: Collection, right: Collection) -> bool:
    """`~`: the same items in any order, with small differences forgiven."""
    if len(left) != len(right):
        return False
    if len(left) == 1:
        return equivalent_items(left[0], right[0])
    if Counter(map(identity, left)) == Counter(map(identity, right)):
        return True
    if len(left) > _MAX_LOOSE:
        raise LimitExceeded(f"'~' does not compare more than {_MAX_LOOSE} items")
    rest = list(right)
    for item in left:
        match = next((i for i, other in enumerate(rest) if equivalent_items(item, other)), None)
        if match is None:
            return False
        del rest[match]
    return True


def equivalent_items(left: Item, right: Item) -> bool:
    """Whether two items are equivalent: strings but for case and spaces, numbers to the coarser precision."""
    a, b = system(left), system(right)
    if isinstance(a, str) and isinstance(b, str):
        return folded(a) == folded(b)
    if isinstance(a, Temporal) and isinstance(b, Temporal):
        return temporal.comparable(a, b) and temporal.compare(a, b) == 0
    if isinstance(a, Node) and isinstance(b, Node):
        return _loose(a.value) == _loose(b.value)
    if isinstance(a, Quantity) or isinstance(b, Quantity):
        return _equivalent_quantities(as_quantity(a), as_quantity(b))
    if _numeric(a) and _numeric(b):
        return _same_rounded(decimal(a), decimal(b))  # type: ignore[arg-type]
    return equal_items(left, right) is True


def folded(text: str) -> str:
    """A string without case, each white space as a space."""
    return text.translate(_SPACES).casefold()


def _numeric(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _same_rounded(left: Decimal, right: Decimal) -> bool:
    places = Decimal(1).scaleb(-min(_places(left), _places(right)))
    return left.quantize(places, ROUND_HALF_UP, WIDE) == right.quantize(places, ROUND_HALF_UP, WIDE)


def _places(value: Decimal) -> int:
    """Digits after the decimal point, trailing zeros not counted."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _equivalent_quantities(left: Quantity | None, right: Quantity | None) -> bool:
    if left is None or right is None:
        return False
    a, b = left.measure(calendar=False), right.measure(calendar=False)
    # The coarser unit is the one to compare in: 4040 mg are about 4 g.
    coarse, fine = (left, right) if a is None or b is None or a.factor >= b.factor else (right, left)
    converted = quantities.convert(fine, coarse, calendar=False)
    return converted is not None and _same_rounded(coarse.value, converted)


def frozen(value: Any) -> Hashable:
    """JSON as a value that can be hashed; numbers are the same whatever their digits."""
    if isinstance(value, dict):
        return frozenset((key, frozen(part)) for key, part in value.items())
    if isinstance(value, list):
        return tuple(frozen(part) for part in value)
    if isinstance(value, bool):
        return ("boolean", value)
    return decimal(value) if isinstance(value, float) else value


def _loose(value: Any) -> Hashable:
    """JSON as a value that is the same for equivalent elements: arrays without order, strings folded."""
    if isinstance(value, dict):
        return frozenset((key, _loose(part)) for key, part in value.items())
    if isinstance(value, list):
        return frozenset(Counter(_loose(part) for part in value).items())
    if isinstance(value, str):
        return folded(value)
    return frozen(value)


def identity(item: Item) -> Hashable:
    """A key that is the same for items that are equal beyond doubt; what sets are made of."""
    value = system(item)
    if isinstance(value, Temporal):
        return temporal.identity(value)
    if isinstance(value, Quantity):
        base = quantities.in_base_units(value)
        # Of unit 1 it is equal to a number.
        return base[0] if base and base[1] == () else ("quantity", base)
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(item, Node) and (value is None or isinstance(value, Node)):
        return (frozen(item.value), frozen(item.extra))
    return value


def distinct(items: Collection) -> Collection:
    """The items without repetitions, in order of first appearance."""
    if len(items) < 2:
        return items
    first: dict[Hashable, Item] = {}
    for item in items:
        first.setdefault(identity(item), item)
    return list(first.values())
