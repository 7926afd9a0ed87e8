"""Elements as parts of a Parameters resource: `value[x]` with its companion, a resource, or nested parts.

Spec: https://hl7.org/fhir/R4/parameters.html, https://hl7.org/fhir/R4/fhirpatch.html
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fhir_server.definitions import Definitions, Element

Part = dict[str, Any]


class Found(NamedTuple):
    """What an object has of one element: JSON property, value and companion (lists of them where it repeats)."""

    key: str
    value: Any
    extra: Any = None


def find(element: Element, holder: Mapping[str, Any]) -> Found | None:
    """Return what an object has of an element; None where it has nothing."""
    for key in element.json_names:
        if key in holder or "_" + key in holder:
            return Found(key, holder.get(key), holder.get("_" + key))
    return None


def repeats(element: Element) -> bool:
    """Tell whether the element is a list in JSON."""
    return element.max is None or element.max > 1


def items(found: Found | None) -> list[Found]:
    """Return the items of a list, each with its companion."""
    if found is None:
        return []
    values, extras = _listed(found.value), _listed(found.extra)
    at = range(max(len(values), len(extras)))
    return [Found(found.key, *(each[i] if i < len(each) else None for each in (values, extras))) for i in at]


def _listed(value: Any) -> list[Any]:
    """Return a list; what should be one and is not, in a resource that is not valid, as its only item."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


class Forms:
    """Knows which form values of each type take in Parameters."""

    def __init__(self, definitions: Definitions) -> None:
        self.types = definitions.types
        self._open = frozenset(
            key for key, element in definitions.types["Parameters.parameter"].by_name.items() if element.name == "value"
        )

    def type_of(self, element: Element, key: str) -> str:
        """Return the type that a property has: a key of `Definitions.types`."""
        of = element.json_names[key]
        return element.type_key or (of.code if of else "")

    def anonymous(self, type_: str) -> bool:
        """Tell whether no `value[x]` can hold the type, so that its elements stand as parts."""
        known = self.types.get(type_)
        return known is not None and known.kind in ("complex-type", "backbone") and self._key(type_) not in self._open

    def typed(self, name: str, type_: str, value: Any, extra: Any = None) -> Part:
        """Return a part with a resource or a `value[x]`; a type that is no `value[x]` is text (xhtml)."""
        if isinstance(value, dict) and "resourceType" in value:
            return {"name": name, "resource": value}
        key = self._key(type_)
        if key not in self._open and not isinstance(value, dict):
            key = "valueString"
        held = {key: value, "_" + key: extra}
        return {"name": name, **{each: data for each, data in held.items() if data is not None}}

    def parts(self, name: str, type_: str, value: Any, extra: Any = None) -> Part:
        """Return a part with the whole value, nested where its type asks for it."""
        if not (self.anonymous(type_) and isinstance(value, dict)):
            return self.typed(name, type_, value, extra)
        return {"name": name, "part": list(self._below(type_, value))}

    def _below(self, type_: str, value: Mapping[str, Any]) -> Iterator[Part]:
        for element in self.types[type_].elements:
            found = find(element, value)
            for each in items(found) if repeats(element) else [found] if found else []:
                yield self.parts(element.name, self.type_of(element, each.key), each.value, each.extra)

    def _key(self, type_: str) -> str:
        return f"value{type_[:1].upper()}{type_[1:]}"
