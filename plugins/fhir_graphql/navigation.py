"""Choosing items of a list by arguments, and naming the slices of it.

Spec: https://hl7.org/fhir/R4/graphql.html#lists
"""

from collections.abc import Callable, Mapping
from typing import Any

from fhir_graphql.faults import QueryFault
from fhir_graphql.fields import Fields
from fhir_server.plugin_api import FhirPathError, compile_expression, model_of

_OWN = frozenset({"fhirpath", "_count", "_offset"})


def chosen(
    values: list[Any], arguments: Mapping[str, Any], type_: str, fields: Fields, tick: Callable[[], None]
) -> list[Any]:
    """The items that all arguments fit: properties with a value, `fhirpath`, `_offset` and `_count`.

    `tick` is called before each evaluation, and may give up.

    Raises:
        QueryFault: an argument is wrong.
    """
    for name, wanted in arguments.items():
        if name not in _OWN and wanted is not None:
            values = [each for each in values if _has(each, name, wanted)]
    if arguments.get("fhirpath"):
        holds = evaluated(str(arguments["fhirpath"]), type_, fields)
        kept = []
        for each in values:
            tick()
            if _true(holds(each)):
                kept.append(each)
        values = kept
    offset, count = _number(arguments, "_offset", 0), _number(arguments, "_count", None)
    return values[offset : None if count is None else (offset or 0) + count]


def check_arguments(arguments: Mapping[str, Any], type_: str, fields: Fields) -> None:
    """Refuse arguments that choose nothing on items of a type. Raises QueryFault."""
    known = fields.of(type_)
    for name, value in arguments.items():
        if isinstance(value, list | dict):
            raise QueryFault(f"{name} takes one value: ask twice under other names, or by fhirpath")
        if name in _OWN:
            continue
        if name not in known or not known[name].scalar:
            raise QueryFault(f"items of type {type_} have no scalar {name} to be chosen by")
    if arguments.get("fhirpath"):
        evaluated(str(arguments["fhirpath"]), type_, fields)


def evaluated(expression: str, type_: str, fields: Fields) -> Callable[[Any], list[Any]]:
    """What evaluates an expression on items of a type. Raises QueryFault: it is wrong."""
    try:
        walk = compile_expression(expression, model=model_of(fields.facts)).for_type(type_)
    except FhirPathError as error:
        raise QueryFault(f"fhirpath: {error}") from None

    def evaluate(value: Any) -> list[Any]:
        try:
            return walk(value)
        except FhirPathError as error:
            raise QueryFault(f"fhirpath: {error}") from None

    return evaluate


def slice_name(expression: str, number: int, value: Any, type_: str, fields: Fields) -> str:
    """What is put behind the name of an item; `$index` is its number."""
    if expression == "$index":
        return f".{number}"
    found = evaluated(expression, type_, fields)(value)
    return "".join(f".{each}" for each in found[:1])


def _has(item: Any, name: str, wanted: Any) -> bool:
    found = item.get(name) if isinstance(item, dict) else None
    values = found if isinstance(found, list) else [found]
    return any(_text(each) == _text(wanted) for each in values if each is not None)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _true(found: list[Any]) -> bool:
    return len(found) == 1 and found[0] is not False


def _number(arguments: Mapping[str, Any], name: str, default: int | None) -> int | None:
    value = arguments.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise QueryFault(f"{name} is a number, 0 or more")
    return value
