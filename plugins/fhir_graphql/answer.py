"""The answer while it is made: fields are put into objects in order, and filled in when what they need has come."""

from collections.abc import Callable
from typing import Any

from fhir_graphql.faults import QueryFault

Object = dict[str, Any]


def put(target: Object, name: str, value: Any, *, many: bool) -> Callable[[Any], None]:
    """Add a value under a name, to a list if there may be many; return what replaces it.

    Raises:
        QueryFault: there is one already, and it is no list.
    """
    if many:
        items = target.get(name)
        if items is None:
            items = target[name] = []
        items.append(value)
        return _replacing(items, value)
    if target.get(name) is not None:
        raise QueryFault(f"{name} has several values here: use @first, or leave out @singleton")
    target[name] = value

    def replace(other: Any) -> None:
        target[name] = other

    return replace


def _replacing(items: list[Any], value: Any) -> Callable[[Any], None]:
    def replace(other: Any) -> None:
        place = next(number for number, each in enumerate(items) if each is value)
        items[place] = other

    return replace
