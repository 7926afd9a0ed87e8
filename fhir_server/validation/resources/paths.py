"""From where a value stands in JSON to its place in FHIRPath, and to what the definitions say of it."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fhir_server.definitions import Definitions, ElementType
from fhir_server.validation.place import Place

Json = Mapping[str, Any]
Keys = tuple[str | int, ...]


class Found(NamedTuple):
    """The place of a value, and its type as the element that holds it has it; None where that is not known."""

    place: Place
    type: ElementType | None


def look(resource: Json, keys: Keys, place: Place, definitions: Definitions) -> Found:
    """Return what stands at these keys below a resource: `valueQuantity` is at `value.ofType(Quantity)`."""
    value: Any = resource
    definition = definitions.types.get(_type(resource))
    of: ElementType | None = None
    for at, key in enumerate(keys):
        value = _member(value, key)
        if isinstance(key, int):
            if of is not None and of.code == "Resource":
                definition = definitions.types.get(_type(value))
            continue
        name = key.removeprefix("_")
        element = definition.by_name.get(name) if definition else None
        of = element.json_names.get(name) if element else None
        name = f"{element.name}.ofType({of.code})" if element and element.choice and of else name
        index = keys[at + 1] if at + 1 < len(keys) else -1
        place = Place(place, name, index if isinstance(index, int) else -1)
        below = element.type_key if element and element.type_key else of.code if of else ""
        definition = definitions.types.get(_type(value) if below == "Resource" else below)
    return Found(place, of)


def _member(value: Any, key: str | int) -> Any:
    try:
        return value[key]
    except (TypeError, KeyError, IndexError):
        return None


def _type(value: Any) -> str:
    found = value.get("resourceType") if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""


def texts(value: object, keys: Keys = ()) -> Iterator[tuple[Keys, str]]:
    """Yield every string below a value, with its keys."""
    if isinstance(value, str):
        yield keys, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from texts(item, (*keys, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts(item, (*keys, index))
