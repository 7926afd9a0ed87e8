"""Conformance resources by canonical URL: what a tenant stores, over what packages bring, over what R4 brings.

Resources are raw bytes that are parsed when they are asked for, so that a library of thousands costs little.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.model.json import decode, members
from fhir_server.model.keys import ResourceKey

CANONICAL_TYPES = ("StructureDefinition", "ValueSet", "CodeSystem", "ConceptMap", "NamingSystem", "Questionnaire")
"""The types that a library holds."""

_BETWEEN = re.compile(r"[.\-+ ]")


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource.

    `name` is unique in a library: type and id of what a tenant stores (`ValueSet/123`), else source and type and id
    (`hl7.fhir.us.core#6.1.0/ValueSet/123`). `source` names the package, or is empty for what a tenant stores.
    """

    name: str
    type: str
    url: str
    version: str
    data: bytes
    source: str = ""

    def parse(self) -> Mapping[str, Any]:
        """Return the resource."""
        resource: Mapping[str, Any] = decode(self.data)
        return resource


class Library:
    """Finds resources by `url`, `url|version` or `ValueSet/123`; immutable, so a changed one is a new one.

    Args:
        below: where to look for what is not here. What is here hides all versions of the same URL below, unless a
            version is asked for.
    """

    def __init__(self, entries: Iterable[Entry] = (), below: "Library | None" = None) -> None:
        self.below = below
        self._all = {entry.name: entry for entry in entries}
        self._urls: dict[tuple[str, str], list[Entry]] = {}
        for entry in self._all.values():
            if entry.url:
                self._urls.setdefault((entry.type, entry.url), []).append(entry)
        for found in self._urls.values():
            if len(found) > 1:
                found.sort(key=_order)

    def changed(self, resources: Iterable[tuple[ResourceKey, bytes]]) -> "Library":
        """Return a library with these resources of the tenant written; what has no content is deleted.

        Types that no library holds are ignored.
        """
        made = self.over(self.below)
        for key, data in resources:
            if key.type in CANONICAL_TYPES:
                made._drop(str(key))
                if data:
                    made._put(entry_of(str(key), key.type, data))
        return made

    def over(self, below: "Library | None") -> "Library":
        """Return the same entries over another library."""
        made = Library((), below)
        made._all, made._urls = dict(self._all), dict(self._urls)
        return made

    def find(self, type_: str, canonical: str, *, source: str = "") -> Entry | None:
        """Return the resource; of several versions, where none is named, that of the package `source`, else the latest.

        Spec: https://hl7.org/fhir/R4/references.html#canonical
        """
        url, _, version = canonical.partition("|")
        found = [each for each in self._urls.get((type_, url), ()) if not version or each.version == version]
        if found:
            return next((each for each in found if source and each.source == source), found[-1])
        named = self._all.get(canonical)
        if named is not None and named.type == type_:
            return named
        return self.below.find(type_, canonical, source=source) if self.below else None

    def versions(self, type_: str, url: str) -> Sequence[Entry]:
        """Return every version of a URL, here and below, the latest first."""
        found = {entry.version: entry for entry in (self.below.versions(type_, url) if self.below else ())}
        found |= {entry.version: entry for entry in self._urls.get((type_, url), ())}
        return sorted(found.values(), key=_order, reverse=True)

    def all(self, type_: str) -> Iterator[Entry]:
        """Yield every resource of a type, here first; hidden ones too."""
        yield from self.own(type_)
        if self.below is not None:
            yield from self.below.all(type_)

    def own(self, type_: str) -> Iterator[Entry]:
        """Yield the resources of a type that are here, not below."""
        return (entry for entry in self._all.values() if entry.type == type_)

    def _put(self, entry: Entry) -> None:
        """Add to a library that nobody else has yet. Lists are replaced, as they are shared with the one before."""
        self._all[entry.name] = entry
        if entry.url:
            place = (entry.type, entry.url)
            self._urls[place] = sorted([*self._urls.get(place, ()), entry], key=_order)

    def _drop(self, name: str) -> None:
        entry = self._all.pop(name, None)
        if entry is not None and entry.url:
            place = (entry.type, entry.url)
            left = [each for each in self._urls[place] if each.name != name]
            if left:
                self._urls[place] = left
            else:
                del self._urls[place]


def entry_of(name: str, type_: str, data: bytes, source: str = "") -> Entry:
    """Return the entry of a resource's bytes, of which only `url` and `version` are read."""
    raw = members(data)
    return Entry(name, type_, _text(raw, "url"), _text(raw, "version"), data, source)


def _text(raw: Mapping[str, bytes], name: str) -> str:
    value = decode(raw[name]) if name in raw else ""
    return value if isinstance(value, str) else ""


def _order(entry: Entry) -> tuple[object, ...]:
    """Numbers of a version count as numbers: 1.10 comes after 1.9."""
    numbers = [part.lstrip("0") if part.isdecimal() else part for part in _BETWEEN.split(entry.version)]
    return [(part.isdecimal() or not part, len(part) if part.isdecimal() else 0, part) for part in numbers], entry.name
