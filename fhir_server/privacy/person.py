"""What stands for a person in text: identifiers, telephone numbers, names, taken from all versions of the Patient."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.model.json import decode, encode
from fhir_server.model.keys import ResourceKey
from fhir_server.storage.base import HistoryQuery, Store

_LONG_ENOUGH: Final = 6
"""Characters from which a value counts as one person's own; shorter ones stand in much else."""
_WORD: Final = 4
_MOST: Final = 200


@dataclass(frozen=True, slots=True)
class Person:
    """`identifiers` and `contacts` are values, `words` the folded parts of names."""

    identifiers: frozenset[str] = frozenset()
    contacts: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()

    def texts(self) -> tuple[bytes, ...]:
        """Return the identifiers as they stand in JSON, quotes included."""
        return tuple(sorted(encode(value) for value in self.identifiers if len(value) >= _LONG_ENOUGH))

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
        frozenset(_values(found, "identifier", "value")),
        frozenset((*_values(found, "telecom", "value"), *_values(found, "address", "line"))),
        frozenset(
            part.casefold() for field in ("family", "given") for part in _values(found, "name", field) if _is_word(part)
        ),
    )


def _is_word(part: str) -> bool:
    return len(part) >= _WORD


def _values(resources: Iterable[Mapping[str, Any]], element: str, field: str) -> Iterator[str]:
    for resource in resources:
        for each in resource.get(element, ()):
            value = each.get(field) if isinstance(each, dict) else None
            yield from (text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str))
