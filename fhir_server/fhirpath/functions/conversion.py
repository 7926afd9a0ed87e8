"""Functions that convert between the System types, and `iif`.

Spec: https://hl7.org/fhirpath/N1/#conversion
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from fhir_server.fhirpath import quantity as quantities
from fhir_server.fhirpath.context import Run
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.functions.function import Function, Step, answer, fixed
from fhir_server.fhirpath.long import Long, fits
from fhir_server.fhirpath.node import Collection, Node
from fhir_server.fhirpath.quantity import Quantity, parse_quantity
from fhir_server.fhirpath.temporal import Temporal, parse_date, parse_datetime, parse_time
from fhir_server.fhirpath.values import describe, single, string, system, type_of

_INTEGER = re.compile(r"[+-]?\d{1,64}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d{1,64}(?:\.\d{1,64})?", re.ASCII)
_TRUE, _FALSE = frozenset({"true", "t", "yes", "y", "1", "1.0"}), frozenset({"false", "f", "no", "n", "0", "0.0"})


def iif(run: Run, focus: Collection, criterion: Step, then: Step, otherwise: Step | None = None) -> Collection:
    """`iif(criterion, then [, otherwise])`; only the branch that is taken is evaluated."""
    if len(focus) > 1:
        raise FhirPathError(f"iif() takes one item, there are {len(focus)}")
    found = criterion(run, focus)
    value = single(found, "the criterion of iif()")
    if value is not None and not isinstance(value, bool):
        raise FhirPathError(f"the criterion of iif() is a boolean, not {describe(found[0])}")
    if value:
        return then(run, focus)
    return otherwise(run, focus) if otherwise else []


def to_boolean(value: Any) -> bool | None:
    """A value as a boolean, or None."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | Decimal):
        return bool(value) if value in (0, 1) else None
    text = value.lower() if isinstance(value, str) else ""
    return True if text in _TRUE else False if text in _FALSE else None


def to_integer(value: Any) -> int | None:
    """A value as an integer, or None; decimals are not cut off."""
    found = _whole(value)
    return found if found is not None and fits(found) else None


def to_long(value: Any) -> Long | None:
    """A value as a Long, or None; decimals are not cut off.

    Spec: https://hl7.org/fhirpath/#tolong--long
    """
    found = _whole(value)
    return Long(found) if found is not None and fits(Long(found)) else None


def _whole(value: Any) -> int | None:
    if isinstance(value, bool | int):
        return int(value)
    return int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else None


def to_decimal(value: Any) -> Decimal | None:
    """A value as a decimal, or None."""
    if isinstance(value, bool):
        return Decimal("1.0") if value else Decimal("0.0")
    if isinstance(value, int | Decimal):
        return Decimal(value)
    return Decimal(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else None


def to_text(value: Any) -> str | None:
    """A value as a string, or None for a complex element."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value) if isinstance(value, int | Temporal | Quantity) else None


def to_date(value: Any) -> Temporal | None:
    """A value as a Date, or None; of a DateTime the day."""
    if isinstance(value, Temporal) and value.kind != "Time":
        return Temporal("Date", value.parts[:3])
    return parse_date(value) if isinstance(value, str) else None


def to_datetime(value: Any) -> Temporal | None:
    """A value as a DateTime, or None."""
    if isinstance(value, Temporal) and value.kind != "Time":
        return Temporal("DateTime", value.parts, value.fraction, value.zone)
    return parse_datetime(value) if isinstance(value, str) else None


def to_time(value: Any) -> Temporal | None:
    """A value as a Time, or None."""
    if isinstance(value, Temporal):
        return value if value.kind == "Time" else None
    return parse_time(value) if isinstance(value, str) and not value.startswith("T") else None


def to_quantity(value: Any) -> Quantity | None:
    """A value as a Quantity, or None."""
    if isinstance(value, Quantity):
        return value
    if isinstance(value, int | Decimal):
        return Quantity(Decimal("1.0") if value is True else Decimal("0.0") if value is False else Decimal(value))
    return parse_quantity(value) if isinstance(value, str) else None


def _converter(name: str, convert: Callable[[Any], Any]) -> Callable[[Run, Collection], Collection]:
    def call(run: Run, focus: Collection) -> Collection:
        value = single(focus, f"{name}()")
        return [] if value is None else answer(convert(value))

    return call


def _test(name: str, convert: Callable[[Any], Any]) -> Callable[[Run, Collection], Collection]:
    def call(run: Run, focus: Collection) -> Collection:
        value = single(focus, f"{name}()")
        return [] if value is None else [convert(value) is not None]

    return call


def quantity(run: Run, focus: Collection, unit: Collection | None = None) -> Collection:
    """`toQuantity([unit])`."""
    found = to_quantity(single(focus, "toQuantity()"))
    if found is None or unit is None:
        return answer(found)
    target = _unit(unit)
    value = quantities.convert(found, target) if target else None
    return [] if target is None or value is None else [Quantity(value, target.unit, target.calendar)]


def is_quantity(run: Run, focus: Collection, unit: Collection | None = None) -> Collection:
    """`convertsToQuantity([unit])`."""
    return [bool(quantity(run, focus, unit))] if focus and _has_value(focus) else []


def _has_value(focus: Collection) -> bool:
    return any(system(item) is not None for item in focus)


def _unit(items: Collection) -> Quantity | None:
    name = string(items, "toQuantity()")
    if name is None:
        return None
    calendar = quantities.CALENDAR_UNITS.get(name)
    return Quantity(Decimal(1), calendar, calendar=True) if calendar else Quantity(Decimal(1), name)


def type_info(run: Run, focus: Collection) -> Collection:
    """`type()`: namespace and name of the type of each item.

    Spec: https://hl7.org/fhirpath/N1/#reflection
    """
    return [Node(dict(zip(("namespace", "name"), type_of(item), strict=True)), None) for item in focus]


_CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    "Boolean": to_boolean,
    "Integer": to_integer,
    "Long": to_long,
    "Decimal": to_decimal,
    "String": to_text,
    "Date": to_date,
    "DateTime": to_datetime,
    "Time": to_time,
}

FUNCTIONS: Mapping[str, Function] = {
    "iif": Function(iif, 2, 3, lazy=True),
    "type": fixed(type_info),
    "toQuantity": Function(quantity, 0, 1),
    "convertsToQuantity": Function(is_quantity, 0, 1),
    **{f"to{name}": fixed(_converter(f"to{name}", convert)) for name, convert in _CONVERTERS.items()},
    **{f"convertsTo{name}": fixed(_test(f"convertsTo{name}", convert)) for name, convert in _CONVERTERS.items()},
}
