"""What stands for a person in text: identifiers, telephone numbers, names, taken from all versions of the Patient."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.model.json import decode, encode
from fhir_server.model.keys import ResourceKey
from fhir_server.storage.base import HistoryQuery, Store

_LONG_ENOUGH: Final = 6
"""Characters from which a value counts as one person's own; shorter ones stand in much else."""
_REFERENCE_PARTS: Final = frozenset(("reference", "type", "identifier", "display", "id", "extension"))
_WORD: Final = 4
_MOST: Final = 200


@dataclass(frozen=True, slots=True)
class Person:
    """`logical` are (system, value) of identifiers, `contacts` values, `words` the folded parts of names."""

    logical: frozenset[tuple[str, str]] = frozenset()
    contacts: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()

    @property
    def identifiers(self) -> frozenset[str]:
        """The values of the identifiers."""
        return frozenset(value for _, value in self.logical)

    def is_meant(self, identifier: Mapping[str, Any]) -> bool:
        """Tell whether a reference by this identifier is to the person."""
        return (str(identifier.get("system", "")), identifier.get("value")) in self.logical

    def refers(self, value: Any) -> bool:
        """Tell whether below is a reference by an identifier of the person, or a copy of the Patient.

        Others may have an identifier of the same value.
        """
        if isinstance(value, list):
            return any(self.refers(each) for each in value)
        if not isinstance(value, dict):
            return False
        return self.is_reference(value) or self.is_copy(value) or any(self.refers(each) for each in value.values())

    def is_copy(self, value: Mapping[str, Any]) -> bool:
        """Tell whether a resource within another is a Patient with an identifier of the person."""
        identifiers = value.get("identifier") if value.get("resourceType") == "Patient" else None
        found = identifiers if isinstance(identifiers, list) else []
        return any(self.is_meant(each) for each in found if isinstance(each, dict))

    def is_reference(self, value: Mapping[str, Any]) -> bool:
        """Tell whether an element is a Reference by an identifier of the person."""
        identifier = value.get("identifier")
        return isinstance(identifier, dict) and _REFERENCE_PARTS.issuperset(value) and self.is_meant(identifier)

    def texts(self) -> tuple[bytes, ...]:
        """Return the identifiers as they stand in JSON, quotes included."""
        return tuple(sorted(encode(value) for value in self.identifiers))

    def probes(self, key: ResourceKey) -> tuple[bytes, ...]:
        """Return what must not be left in any file, as bytes."""
        values = {value for value in self.identifiers | self.contacts if len(value) >= _LONG_ENOUGH}
        return (f'"reference":"{key}"'.encode(), *sorted(encode(value)[1:-1] for value in values))

    def named_in(self, text: str) -> bool:
        """Tell whether a text holds a part of the name, an identifier or a number."""
        folded = text.casefold()
        values = {value.casefold() for value in self.identifiers | self.contacts if len(value) >= _LONG_ENOUGH}
        return any(each in folded for each in self.words | values)


async def person_of(store: Store, key: ResourceKey) -> Person:
    """Return what the versions of a Patient say of the person."""
    page = await store.history(HistoryQuery(key=key, count=_MOST))
    found = [decode(version.body.data) for version in page.versions if not version.deleted]
    return Person(
        frozenset(_identifiers(found)),
        frozenset((*_values(found, "telecom", "value"), *_values(found, "address", "line"))),
        frozenset(
            part.casefold() for field in ("family", "given") for part in _values(found, "name", field) if _is_word(part)
        ),
    )


def _is_word(part: str) -> bool:
    return len(part) >= _WORD


def _identifiers(resources: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for resource in resources:
        for each in resource.get("identifier", ()):
            if isinstance(each, dict) and isinstance(each.get("value"), str):
                yield str(each.get("system", "")), each["value"]


def _values(resources: Iterable[Mapping[str, Any]], element: str, field: str) -> Iterator[str]:
    for resource in resources:
        for each in resource.get(element, ()):
            value = each.get(field) if isinstance(each, dict) else None
            yield from (text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str))
