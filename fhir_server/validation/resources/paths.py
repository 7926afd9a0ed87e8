"""From where a value stands in JSON to its place in FHIRPath: `valueQuantity` is `value.ofType(Quantity)`."""

from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.validation.place import Place

Json = Mapping[str, Any]
Keys = tuple[str | int, ...]


def place_at(place: Place, type_: str, keys: Keys, definitions: Definitions) -> Place:
    """Return the place of the value at these keys below a resource or element of a type."""
    definition = definitions.types.get(type_)
    for at, key in enumerate(keys):
        if isinstance(key, int):
            continue
        element = definition.by_name.get(key) if definition else None
        name, of = key, None
        if element is not None:
            of = element.json_names.get(key)
            name = f"{element.name}.ofType({of.code})" if element.choice and of else key
        index = keys[at + 1] if at + 1 < len(keys) else -1
        place = Place(place, name, index if isinstance(index, int) else -1)
        below = element.type_key if element and element.type_key else of.code if of else None
        definition = definitions.types.get(below) if below else None
    return place


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
