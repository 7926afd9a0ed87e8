"""Constants of a view as literals of FHIRPath.

Spec: https://sql-on-fhir.org/ig/StructureDefinition-ViewDefinition.html#using-constants
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from fhir_server.plugin_api import Node, system_value
from fhir_views.engine.faults import Fault, ViewError

_LEAST = {"Integer": -(2**31), "UnsignedInt": 0, "PositiveInt": 1}
_TEXTS = ("Base64Binary", "Canonical", "Code", "Id", "Oid", "String", "Uri", "Url", "Uuid", "Markdown")
_TIMES = {"Date": "date", "DateTime": "dateTime", "Instant": "dateTime", "Time": "time"}


def literals(constants: Mapping[str, tuple[str, Any, str]]) -> dict[str, Any]:
    """The values of constants, each `(suffix of value[x], value, place)`.

    Raises:
        ViewError: a value does not fit its type, or the type is none that a constant may have.
    """
    found: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, (suffix, value, place) in constants.items():
        read = _READERS.get(suffix)
        if read is None:
            faults.append(Fault(place, f"a constant cannot be a {suffix}"))
        elif (literal := read(value)) is None:
            faults.append(Fault(place, f"this is no {suffix[:1].lower()}{suffix[1:]}"))
        else:
            found[name] = literal
    if faults:
        raise ViewError(faults)
    return found


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _integer(least: int) -> Callable[[Any], int | None]:
    def read(value: Any) -> int | None:
        return value if type(value) is int and least <= value < 2**31 else None

    return read


def _integer64(value: Any) -> int | None:
    """R5 writes it as a string."""
    if isinstance(value, str) and value.removeprefix("-").isdecimal() and len(value) < 21:
        value = int(value)
    return value if type(value) is int and -(2**63) <= value < 2**63 else None


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return value if isinstance(value, Decimal) else Decimal(repr(value))


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _temporal(type_name: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        found = system_value(Node(value, type_name)) if isinstance(value, str) else None
        return None if isinstance(found, str) else found  # text that is no date stays text

    return read


_READERS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_TEXTS, _text),
    **{suffix: _integer(least) for suffix, least in _LEAST.items()},
    **{suffix: _temporal(name) for suffix, name in _TIMES.items()},
    "Integer64": _integer64,
    "Decimal": _decimal,
    "Boolean": _boolean,
}
