"""From elements to System values and back: the implicit conversions of FHIR, singletons, plain JSON.

Spec: https://hl7.org/fhir/R4/fhirpath.html#types and https://hl7.org/fhirpath/N1/#singleton-evaluation-of-collections
"""

from decimal import Context, Decimal, InvalidOperation
from typing import Any, TypeAlias

from fhir_server.fhirpath.errors import FhirPathError, LimitExceeded
from fhir_server.fhirpath.long import Long
from fhir_server.fhirpath.node import Collection, Item, Node
from fhir_server.fhirpath.quantity import CALENDAR_UNITS, Quantity
from fhir_server.fhirpath.temporal import Temporal, parse_date, parse_datetime, parse_time
from fhir_server.fhirpath.types import QUANTITIES, system_type

_MAX_EXPONENT = 400
# Rounding must not fail for want of digits, however long the number.
WIDE = Context(prec=1000)
UCUM = "http://unitsofmeasure.org"
_TEMPORAL = {"date": parse_date, "dateTime": parse_datetime, "instant": parse_datetime, "time": parse_time}

System: TypeAlias = bool | int | Decimal | str | Temporal | Quantity


def system(item: Item) -> System | Node | None:
    """The System value of an item: itself if computed, None for a primitive without value, the node if complex."""
    if not isinstance(item, Node):
        return item
    value = item.value
    if isinstance(value, str):
        parse = _TEMPORAL.get(item.type or "")
        # A date that does not exist is a finding of the validator; here it stays the string that it is.
        return (parse(value) or value) if parse else value
    if isinstance(value, dict):
        return _quantity(item, value) if item.type in QUANTITIES else item
    if isinstance(value, float | Decimal):
        return _finite(value)
    if isinstance(value, list):
        return item
    if type(value) is int and item.type == "decimal":
        return Decimal(value)
    return value  # type: ignore[no-any-return]


def _finite(value: float | Decimal) -> Decimal:
    """A number of the data, unless its size alone would make arithmetic take for ever."""
    found = decimal(value)
    if not found.is_finite() or abs(found.adjusted()) > _MAX_EXPONENT:
        raise LimitExceeded(f"a number is larger or smaller than 1e{_MAX_EXPONENT}")
    return found


def _quantity(node: Node, fields: dict[str, Any]) -> Quantity | Node:
    """A FHIR Quantity as a System one, if it has a number that nothing qualifies.

    Spec: https://hl7.org/fhir/R4/fhirpath.html#quantity
    """
    value, code, unit = fields.get("value"), fields.get("code"), fields.get("unit")
    if not isinstance(value, int | float | Decimal) or isinstance(value, bool) or "comparator" in fields:
        return node
    number = _finite(value) if not isinstance(value, int) else Decimal(value)
    if fields.get("system") == UCUM and isinstance(code, str):
        return Quantity(number, code, of_fhir=True)
    if code is None and unit in CALENDAR_UNITS:
        return Quantity(number, CALENDAR_UNITS[unit], calendar=True)
    return Quantity(number, str(unit or code or "1"))


def decimal(value: int | float | Decimal) -> Decimal:
    """Any number as a decimal, floats by their shortest spelling."""
    return value if isinstance(value, Decimal) else Decimal(repr(value))


def to_decimal(text: str) -> Decimal | None:
    """A decimal from text; None when it is not a finite number."""
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def single(items: Collection, what: str) -> System | Node | None:
    """The System value of the only item; None for an empty collection.

    Raises:
        FhirPathError: there are several items.
    """
    if not items:
        return None
    if len(items) > 1:
        raise FhirPathError(f"{what} takes one item, there are {len(items)}")
    return system(items[0])


def truth(items: Collection, what: str = "a condition") -> bool | None:
    """A collection as a boolean: empty is unknown, a single item that is not a boolean is true.

    Raises:
        FhirPathError: there are several items.
    """
    if not items:
        return None
    if len(items) > 1:
        raise FhirPathError(f"{what} takes one item, there are {len(items)}")
    item = items[0]
    value = item.value if isinstance(item, Node) else item
    if isinstance(value, bool):
        return value
    return True if value is not None else None


def string(items: Collection, what: str) -> str | None:
    """The only item as a string; None for an empty collection. Dates of FHIR elements count as their text.

    Raises:
        FhirPathError: there are several items, or it is not a string.
    """
    value = single(items, what)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Temporal) and isinstance(items[0], Node):
        return str(items[0].value)
    raise FhirPathError(f"{what} takes a string, not {describe(items[0])}")


def integer(items: Collection, what: str) -> int | None:
    """The only item as an integer; None for an empty collection.

    Raises:
        FhirPathError: there are several items, or it is not an integer.
    """
    value = single(items, what)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise FhirPathError(f"{what} takes an integer, not {describe(items[0])}")


def number(items: Collection, what: str) -> int | Decimal | None:
    """The only item as a number; None for an empty collection.

    Raises:
        FhirPathError: there are several items, or it is not a number.
    """
    value = single(items, what)
    if value is None or (isinstance(value, int | Decimal) and not isinstance(value, bool)):
        return value
    raise FhirPathError(f"{what} takes a number, not {describe(items[0])}")


def type_of(item: Item) -> tuple[str, str]:
    """Namespace and name of the type of an item.

    Spec: https://hl7.org/fhirpath/N1/#reflection
    """
    if not isinstance(item, Node):
        return "System", system_type(item)
    if item.type is None:
        return "FHIR", "Element" if not isinstance(item.value, dict) else "BackboneElement"
    if item.type.startswith("System."):
        return "System", item.type.removeprefix("System.")
    return "FHIR", item.type


def describe(item: Item) -> str:
    """Name the type of an item, for messages; its value may be a patient's."""
    namespace, name = type_of(item)
    return f"{namespace}.{name}"


def is_fhir_primitive(node: Node) -> bool:
    """Whether a node is a primitive: it has a scalar, or nothing but a companion."""
    return not isinstance(node.value, dict | list)


def plain(item: Item) -> Any:
    """An item as plain JSON data: what `evaluate` gives out.

    A primitive that has extensions and no value becomes the object with these extensions.
    """
    if isinstance(item, Node):
        return item.value if item.value is not None else item.extra
    if isinstance(item, Temporal):
        return str(item)
    if isinstance(item, Quantity):
        return item.as_json()
    return int(item) if isinstance(item, Long) else item


def typed(item: Item) -> Node:
    """An item as a result: computed values get the name of their System type."""
    if isinstance(item, Node):
        return item
    return Node(plain(item), f"System.{system_type(item)}")
