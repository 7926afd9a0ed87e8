"""References to the erased cut out of a resource that stays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.definitions import Definitions
from fhir_server.model.keys import ResourceKey
from fhir_server.privacy.mentions import key_of
from fhir_server.privacy.person import Person

_GONE: Final = object()

_MEMBERS: Final = frozenset((
    "Group.member", "List.entry", "Appointment.participant", "Person.link", "Patient.link", "CareTeam.participant",
    "Linkage.item", "EpisodeOfCare.team", "Encounter.participant", "Invoice.participant",
))  # fmt: skip
"""Lists of which an item that names the erased goes as a whole."""


@dataclass(frozen=True, slots=True)
class Redaction:
    """What is cut out: references to these resources, and logical ones to the person; `word` stands instead."""

    keys: frozenset[ResourceKey]
    person: Person
    base: str
    facts: Definitions
    word: str = "[erased]"

    def cut(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        """Return the resource without them. A narrative that names the person goes too.

        A list item that is such a reference is left out, and so is a member of a group, a participant or the like;
        any other reference becomes one that says that it was erased.
        """
        type_ = str(resource.get("resourceType"))
        found: dict[str, Any] = {}
        for name, value in resource.items():
            if name == "text" and isinstance(value, dict) and self.person.named_in(str(value.get("div", ""))):
                continue
            left = self._members(type_, name, value) if isinstance(value, list) else self._cut(value)
            if left is _GONE:
                left = self._instead()
            if left == [] and value != []:
                if not self._required(type_, name):
                    continue
                left = [self._placeholder(value[0])]
            found[name] = left
        return found

    def _members(self, type_: str, name: str, value: list[Any]) -> list[Any]:
        if f"{type_}.{name}" in _MEMBERS:
            value = [item for item in value if not (isinstance(item, dict) and self._names(item))]
        if f"{type_}.{name}" == "Bundle.entry":
            value = [item for item in value if not self._is_entry_of(item)]
        return self._items(value)

    def _cut(self, value: Any) -> Any:
        if isinstance(value, list):
            return self._items(value)
        if not isinstance(value, dict):
            return _GONE if isinstance(value, str) and self._is_gone(value) else value
        if self._is_reference(value):
            return _GONE
        if self.person.is_copy(value):
            return {name: value[name] for name in ("resourceType", "id") if name in value}
        found: dict[str, Any] = {}
        for name, below in value.items():
            left = self._cut(below)
            if left is _GONE and isinstance(below, str):
                continue  # the URL of an attachment: its title says enough
            if left == [] and below != []:
                left = [self._instead()] if self._is_reference(below[0]) else []
            if left != [] or below == []:
                found[name] = self._instead() if left is _GONE else left
        return found

    def _items(self, value: list[Any]) -> list[Any]:
        return [left for item in value if (left := self._cut(item)) is not _GONE]

    def _names(self, item: Mapping[str, Any]) -> bool:
        return any(self._is_reference(value) for value in item.values())

    def _is_entry_of(self, entry: Any) -> bool:
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(resource, dict):
            return False
        key = ResourceKey(str(resource.get("resourceType")), str(resource.get("id")))
        return key in self.keys or self.person.is_copy(resource) or self._is_gone(str(entry.get("fullUrl", "")))

    def _is_reference(self, value: Any) -> bool:
        if not isinstance(value, dict):
            return False
        literal = value.get("reference")
        if isinstance(literal, str) and self._is_gone(literal):
            return True
        return self.person.is_reference(value)

    def _instead(self) -> dict[str, Any]:
        return {"display": self.word}

    def _is_gone(self, text: str) -> bool:
        return "/" in text and key_of(text, self.base) in self.keys

    def _required(self, type_: str, name: str) -> bool:
        definition = self.facts.types.get(type_)
        element = definition.by_name.get(name) if definition else None
        return element is not None and element.min > 0

    def _placeholder(self, item: Any) -> Any:
        """Return what stands in a list that may not be empty."""
        if self._is_reference(item):
            return self._instead()
        return self._cut(item)
