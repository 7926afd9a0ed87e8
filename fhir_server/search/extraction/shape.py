"""Drop from a resource what has not the shape that its type says, so that extraction can rely on it."""

from typing import Any

from fhir_server.definitions import Definitions, Element

_NUMBERS = frozenset({"decimal", "integer", "positiveInt", "unsignedInt"})
_MAX_DEPTH = 100


class Shapes:
    """Knows the shapes of all types."""

    def __init__(self, facts: Definitions) -> None:
        self._types = facts.types

    def sound(self, type_: str, value: Any, depth: int = 0) -> Any:
        """Return the value without its wrongly shaped parts; None if it is one itself."""
        definition = self._types.get(type_)
        if definition is None or depth > _MAX_DEPTH:
            return None
        if definition.kind == "primitive-type":
            return value if _is_primitive(type_, value) else None
        if not isinstance(value, dict):
            return None
        made: dict[str, Any] = {}
        for key, child in value.items():
            element = definition.by_name.get(key)
            found = self._element(element, key, child, depth + 1) if element else None
            if found is not None:
                made[key] = found
            elif key == "resourceType" or (key.startswith("_") and isinstance(child, dict | list)):
                made[key] = child
        return made

    def _element(self, element: Element, key: str, value: Any, depth: int) -> Any:
        of = element.json_names[key]
        type_ = element.type_key or (of.code if of else "")
        if element.max == 1:
            return self._one(type_, value, depth)
        if not isinstance(value, list):
            return None
        return [found for each in value if (found := self._one(type_, each, depth)) is not None]

    def _one(self, type_: str, value: Any, depth: int) -> Any:
        if type_ != "Resource":
            return self.sound(type_, value, depth)
        named = value.get("resourceType") if isinstance(value, dict) else None
        return self.sound(named, value, depth) if isinstance(named, str) else None


def _is_primitive(type_: str, value: Any) -> bool:
    if type_ == "boolean":
        return isinstance(value, bool)
    if type_ in _NUMBERS:
        return not isinstance(value, bool | str | list | dict) and value is not None
    return isinstance(value, str)
