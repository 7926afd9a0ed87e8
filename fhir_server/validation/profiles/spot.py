"""A place with the value that stands there, so that checks can look around: at the resource, at what contains it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from fhir_server.definitions import Definitions, Element
from fhir_server.fhirpath import Node
from fhir_server.validation.place import Place
from fhir_server.validation.run import Run

_CHOICE = re.compile(r"(.+)\.ofType\((.+)\)")
NO_FIELDS: Mapping[str, Any] = {}


class Spot(Place):
    """An element at hand.

    Attributes:
        value: its JSON; None for a primitive that has nothing but extensions.
        type: its key in the definitions (`Patient`, `Patient.contact`, `code`), empty where that is not known.
        extra: the companion of a primitive (`_birthDate`).
        walked: what paths from here led to, for the many slices that ask for the same.
    """

    __slots__ = ("extra", "type", "value", "walked")

    def __init__(
        self, above: Place | None, name: str, index: int, value: Any, type: str = "", extra: Any = None
    ) -> None:
        self.above = above
        self.name = name
        self.index = index
        self.value = value
        self.type = type
        self.extra = extra
        self.walked: dict[str, list[Spot]] | None = None

    @property
    def fields(self) -> Mapping[str, Any]:
        """The JSON object whose members are the children of this element."""
        if type(self.value) is dict:
            return self.value
        return self.extra if type(self.extra) is dict else NO_FIELDS


@dataclass(frozen=True, slots=True)
class Key:
    """One JSON property of an element: its type, empty where the resource in it says it, and its name in paths."""

    json: str
    type: str
    name: str
    primitive: bool


@dataclass(frozen=True, slots=True)
class Member:
    """An element of an object as it is read: one JSON property, or one for each type of a choice."""

    name: str
    keys: tuple[Key, ...]
    many: bool
    by_json: Mapping[str, Key] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        found = {key.json: key for key in self.keys} | {"_" + key.json: key for key in self.keys if key.primitive}
        object.__setattr__(self, "by_json", found)

    def spots(self, owner: Spot) -> list[Spot]:
        """Return the occurrences of the element, in order; what is misshapen is left out."""
        fields = owner.fields
        if len(self.keys) == 1:
            return _occurrences(owner, self.keys[0], fields)
        return [spot for key in self.present(fields) for spot in _occurrences(owner, key, fields)]

    def count(self, owner: Spot) -> int:
        """Return how often the element occurs."""
        return self.count_in(owner.fields)

    def count_in(self, fields: Mapping[str, Any]) -> int:
        """Return how often the element occurs in an object."""
        for key in self.present(fields):
            value = fields.get(key.json)
            if value is None and key.primitive:
                value = fields.get("_" + key.json)
            if value is not None:
                return len(value) if type(value) is list else 1
        return 0

    def present(self, fields: Mapping[str, Any]) -> Iterable[Key]:
        """Return the keys to look at: a choice has up to fifty, an object a few members."""
        if len(self.keys) == 1:
            return self.keys
        by_json = self.by_json
        return {by_json[name]: None for name in fields if name in by_json}


def _occurrences(owner: Spot, key: Key, fields: Mapping[str, Any]) -> list[Spot]:
    value = fields.get(key.json)
    extra = fields.get("_" + key.json) if key.primitive else None
    if type(value) is not list and type(extra) is not list:
        return [] if value is None and extra is None else [_spot(owner, key, -1, value, extra)]
    if extra is None and type(value) is list:
        return [_spot(owner, key, index, item, None) for index, item in enumerate(value) if item is not None]
    return _pairs(owner, key, value if type(value) is list else [], extra if type(extra) is list else [])


def _pairs(owner: Spot, key: Key, values: list[Any], extras: list[Any]) -> list[Spot]:
    pairs = enumerate(zip_longest(values, extras))
    return [_spot(owner, key, index, *pair) for index, pair in pairs if pair != (None, None)]


def _spot(owner: Spot, key: Key, index: int, value: Any, extra: Any) -> Spot:
    return Spot(owner, key.name, index, value, key.type or resource_type(value), extra)


def resource_type(value: Any) -> str:
    """Return the type that a resource names itself; empty where it names none."""
    name = value.get("resourceType") if type(value) is dict else None
    return name if isinstance(name, str) else ""


def member_of(element: Element, definitions: Definitions) -> Member:
    """Return how an element of the definitions is read."""
    keys = tuple(_key(element, name, definitions) for name in element.json_names)
    return Member(element.name, keys, element.max is None or element.max > 1)


def _key(element: Element, json: str, definitions: Definitions) -> Key:
    of = element.json_names[json]
    name = f"{element.name}.ofType({of.code})" if element.choice and of else element.name
    type_name = element.type_key or (of.code if of else "")
    definition = definitions.types.get(type_name)
    if definition is not None and definition.kind == "resource":
        return Key(json, "", name, False)
    return Key(json, type_name, name, definition is not None and definition.kind == "primitive-type")


def spot_at(place: Place, run: Run) -> Spot:
    """Return the spot of a place: the JSON is walked from the root of the run along its names."""
    if isinstance(place, Spot):
        return place
    if place.above is None:
        return Spot(None, place.name, -1, run.root, resource_type(run.root))
    owner = spot_at(place.above, run)
    definition = run.knowledge.definitions.types.get(owner.type)
    element = definition and definition.by_name.get(json_key(place.name))
    if not element:
        return Spot(owner, place.name, place.index, None)
    return _direct(owner, place, element, run.knowledge.definitions)


def _direct(owner: Spot, place: Place, element: Element, definitions: Definitions) -> Spot:
    key = _key(element, json_key(place.name), definitions)
    value = _at(owner.fields.get(key.json), place.index)
    extra = _at(owner.fields.get("_" + key.json), place.index) if key.primitive else None
    return Spot(owner, place.name, place.index, value, key.type or resource_type(value), extra)


def _at(value: Any, index: int) -> Any:
    if type(value) is not list:
        return value
    return value[index] if 0 <= index < len(value) else None


def json_key(name: str) -> str:
    """Return the JSON property of a name in a path: `valueQuantity` for `value.ofType(Quantity)`."""
    choice = _CHOICE.fullmatch(name)
    return choice[1] + choice[2][0].upper() + choice[2][1:] if choice else name


def resource_around(spot: Spot) -> Spot:
    """Return the innermost resource that an element lies in, itself where it is one; else the outermost element."""
    while spot.above is not None and not resource_type(spot.value):
        assert isinstance(spot.above, Spot)
        spot = spot.above
    return spot


def with_parents(spot: Spot, run: Run) -> Spot:
    """Return the same spot, with spots above it all the way up."""
    above = spot.above
    if above is None or _whole(above):
        return spot
    return Spot(spot_at(_rebuilt(above, run), run), spot.name, spot.index, spot.value, spot.type, spot.extra)


def _whole(place: Place | None) -> bool:
    while place is not None:
        if not isinstance(place, Spot):
            return False
        place = place.above
    return True


def _rebuilt(place: Place, run: Run) -> Place:
    """Spots over mere places are made again, so that each has a spot above it."""
    if not isinstance(place, Spot) or place.above is None:
        return place
    return with_parents(place, run)


def node_of(spot: Spot) -> Node:
    """Return the FHIRPath node of a spot whose parents are spots."""
    parent = node_of(spot.above) if isinstance(spot.above, Spot) else None
    index = None if spot.index < 0 else spot.index
    key = json_key(spot.name) if parent is not None else ""
    extra = spot.extra if type(spot.extra) is dict else None
    return Node(spot.value, spot.type or None, parent, key, index, extra)
