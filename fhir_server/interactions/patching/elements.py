"""Elements of a JSON resource as a patch changes them: primitives with their companions, lists, choices.

Spec: https://hl7.org/fhir/R4/json.html#primitive
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.errors import BadRequest
from fhir_server.fhirpath import Node
from fhir_server.interactions.patching.parts import Parts, listed, shaped, type_of

Holder = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Value:
    """What a patch puts in: JSON, the companion of a primitive, and the type that `value[x]` named ("": none)."""

    data: Any
    extra: Mapping[str, Any] | None
    type: str

    @classmethod
    def of(cls, part: Mapping[str, Any]) -> "Value":
        """Read the `value` part: `valueX`, a `resource`, or nested parts for a type without a name."""
        if "part" in part:
            return cls(_anonymous(listed(part, "part")), None, "")
        if "resource" in part:
            return cls(deepcopy(part["resource"]), None, "Resource")
        names = {key.removeprefix("_") for key in part if key.removeprefix("_").startswith("value")}
        if len(names) != 1:
            raise BadRequest("the part 'value' of a patch holds exactly one value[x]")
        name = names.pop()
        extra = part.get("_" + name)
        if extra is not None and not isinstance(extra, dict):
            raise BadRequest(f"'_{name}' in the part 'value' of a patch is an object")
        return cls(deepcopy(part.get(name)), extra, name.removeprefix("value"))


def _anonymous(parts: list[Mapping[str, Any]]) -> Parts:
    found = Parts()
    for part in parts:
        name, value = str(part.get("name")), Value.of(part)
        if value.data is not None:
            found.collect(name, value.data, value.type)
        if value.extra is not None:
            found.types[name] = value.type
            found["_" + name] = dict(value.extra)
    return found


class Elements:
    """Changes to elements, with the cardinalities and choices of the definitions."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._types = definitions.types

    def holder(self, node: Node) -> Holder:
        """Return the JSON object that holds the node's property: the parent, or the companion of a primitive parent."""
        assert node.parent is not None
        if isinstance(node.parent.value, dict):
            return node.parent.value
        assert node.parent.extra is not None
        return node.parent.extra

    def length(self, holder: Holder, key: str) -> int:
        """Return how many items the list has, counting those that are companions only."""
        return max(len(holder.get(key, ())), len(holder.get("_" + key, ())))

    def add(self, node: Node, name: str, value: Value) -> str:
        """Append or set a child element; return what is wrong, or "" when it is done."""
        found = self._element(node.type, name, value)
        if found is None:
            return f"{node.type} has no element {name!r} of this type"
        owner = node.value if isinstance(node.value, dict) else self._companion(node, name)
        if owner is None:
            return f"{node.type or 'the element'} has no child elements to add to"
        key, many = found
        value = self._shaped(value, node.type, key)
        if many:
            self.insert(owner, key, self.length(owner, key), value)
        elif any(there in owner or "_" + there in owner for there in self._names(node.type, key)):
            return f"{name!r} is there already and does not repeat"
        else:
            self._set(owner, key, value)
        return ""

    def repeats(self, node: Node, name: str) -> bool:
        """Return whether a node may have several elements of a name."""
        definition = self._types.get(node.type or "")
        element = definition.by_name.get(name) if definition else None
        return element is not None and not element.choice and (element.max is None or element.max > 1)

    def _companion(self, node: Node, name: str) -> Holder | None:
        """Return the companion of a primitive, made if it has none yet: a primitive has an id and extensions."""
        if node.parent is None or name not in ("id", "extension"):
            return None
        holder, key = self.holder(node), "_" + node.key
        if node.index is None:
            return _object_in(holder, key)
        items = holder.setdefault(key, [])
        items.extend([None] * (self.length(holder, node.key) - len(items)))
        if items[node.index] is None:
            items[node.index] = {}
        found: Holder = items[node.index]
        return found

    def _names(self, type_name: str | None, key: str) -> tuple[str, ...]:
        """Return the JSON names that an element may have: several for a choice, of which one may be there."""
        definition = self._types.get(type_name or "")
        element = definition.by_name.get(key) if definition else None
        return tuple(element.json_names) if element is not None else (key,)

    def insert_beside(self, node: Node, index: int, value: Value) -> None:
        """Put an item into the list that a node is in."""
        parent = node.parent
        shape = self._shaped(value, parent.type if parent else None, node.key)
        self.insert(self.holder(node), node.key, index, shape)

    def insert(self, holder: Holder, key: str, index: int, value: Value) -> None:
        """Put an item into a list."""
        length = self.length(holder, key)
        companions = holder.get("_" + key)
        if value.extra is not None and companions is None:
            companions = holder["_" + key] = [None] * length
        if companions is not None:
            companions.extend([None] * (length - len(companions)))
            companions.insert(index, dict(value.extra) if value.extra else None)
        if value.data is not None or key in holder:
            values = holder.setdefault(key, [None] * length)
            values.extend([None] * (length - len(values)))
            values.insert(index, value.data)

    def remove(self, holder: Holder, key: str, index: int | None) -> None:
        """Remove an element, and the list when it was its last item."""
        for name in (key, "_" + key):
            if index is None:
                holder.pop(name, None)
            elif isinstance(holder.get(name), list):
                if index < len(holder[name]):
                    del holder[name][index]
                if not any(item is not None for item in holder[name]):
                    del holder[name]

    def replace(self, node: Node, value: Value) -> None:
        """Put another value in an element's place; a choice may change its type."""
        holder, key = self.holder(node), node.key
        value = self._shaped(value, node.parent.type if node.parent else None, key)
        if node.index is not None:
            self.remove_item_and_insert(holder, key, node.index, value)
            return
        parent_type = node.parent.type if node.parent else None
        choice = self._choice_name(parent_type, key)
        found = self._element(parent_type, choice, value) if choice else None
        if found is None:
            self._set(holder, key, value)
            return
        self._rename(holder, key, found[0], value)

    def remove_item_and_insert(self, holder: Holder, key: str, index: int, value: Value) -> None:
        """Replace one item of a list, companions kept in step."""
        for name, data in ((key, value.data), ("_" + key, dict(value.extra) if value.extra else None)):
            items = holder.get(name)
            if isinstance(items, list) and index < len(items):
                items[index] = data
            elif data is not None:
                holder[name] = [*(items or []), *[None] * (index - len(items or ())), data]

    def move(self, holder: Holder, key: str, source: int, destination: int) -> None:
        """Move an item within its list."""
        length = self.length(holder, key)
        for name in (key, "_" + key):
            if name in holder:
                holder[name].extend([None] * (length - len(holder[name])))
                holder[name].insert(destination, holder[name].pop(source))

    def _set(self, holder: Holder, key: str, value: Value) -> None:
        for name, data in ((key, value.data), ("_" + key, dict(value.extra) if value.extra else None)):
            if data is None:
                holder.pop(name, None)
            else:
                holder[name] = data

    def _rename(self, holder: Holder, old: str, new: str, value: Value) -> None:
        """Set a choice under its new name in the old place, so that the order of elements stays."""
        items = [
            (name.replace(old, new, 1) if name.removeprefix("_") == old else name, data)
            for name, data in holder.items()
        ]
        holder.clear()
        holder.update(items)
        self._set(holder, new, value)

    def _element(self, type_name: str | None, name: str, value: Value) -> tuple[str, bool] | None:
        """Return the JSON name of an element and whether it repeats."""
        definition = self._types.get(type_name or "")
        if definition is None:
            return (name, False)
        element = definition.by_name.get(name)
        if element is not None and not element.choice:
            return name, element.max is None or element.max > 1
        if element is not None:
            return name, False
        typed = definition.by_name.get(name.removesuffix("[x]") + value.type)
        return (name.removesuffix("[x]") + value.type, False) if typed is not None and typed.choice else None

    def _choice_name(self, type_name: str | None, key: str) -> str:
        definition = self._types.get(type_name or "")
        element = definition.by_name.get(key) if definition else None
        return element.name.removesuffix("[x]") if element is not None and element.choice else ""

    def _shaped(self, value: Value, type_name: str | None, key: str) -> Value:
        """Return a value that is spelled out in parts as JSON of the element that it is for."""
        if not isinstance(value.data, Parts):
            return value
        definition = self._types.get(type_name or "")
        element = definition.by_name.get(key) if definition else None
        return replace(value, data=shaped(value.data, type_of(element), self._definitions))


def _object_in(holder: Holder, key: str) -> Holder:
    found: Holder = holder.setdefault(key, {})
    return found
