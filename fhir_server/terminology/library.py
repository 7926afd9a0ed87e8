"""The ValueSets and CodeSystems of one store by URL, as raw bytes that are parsed when they are asked for."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.model.json import decode, members
from fhir_server.model.keys import ResourceKey
from fhir_server.search.query import EVERYTHING, Search
from fhir_server.storage.base import Store

TERMINOLOGY_TYPES = ("CodeSystem", "ValueSet")
_EMPTY = frozenset(("not-present", "supplement"))
_PAGE = 1_000
_BETWEEN = re.compile(r"[.\-+ ]")


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource: `name` is its type and id, `ValueSet/123`."""

    name: str
    url: str
    version: str
    data: bytes

    def parse(self) -> Mapping[str, Any]:
        """Return the resource."""
        resource: Mapping[str, Any] = decode(self.data)
        return resource


class Library:
    """Finds resources by `url`, `url|version` or `ValueSet/123`. CodeSystems that list no codes are left out."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries: dict[tuple[str, str], Entry] = {}
        self._all = {entry.name: entry for entry in entries}
        for entry in sorted(self._all.values(), key=_order):
            type_ = entry.name.partition("/")[0]
            self._entries[type_, entry.name] = entry
            if entry.url:
                self._entries[type_, entry.url] = self._entries[type_, f"{entry.url}|{entry.version}"] = entry

    def changed(self, resources: Iterable[tuple[ResourceKey, bytes]]) -> "Library":
        """Return a library with these resources written; what has no content is deleted. Other types are ignored."""
        entries = dict(self._all)
        for key, data in resources:
            if key.type in TERMINOLOGY_TYPES:
                entries.pop(f"{key.type}/{key.id}", None)
                entries |= {entry.name: entry for entry in _entries(key, data)}
        return Library(entries.values())

    def find(self, type_: str, canonical: str) -> Entry | None:
        """Return the resource; of several versions, where none is named, the latest.

        Spec: https://hl7.org/fhir/R4/references.html#canonical
        """
        return self._entries.get((type_, canonical))


async def load_library(store: Store) -> Library:
    """Read the ValueSets and CodeSystems of a store, in pages."""
    found: list[tuple[ResourceKey, bytes]] = []
    for type_ in TERMINOLOGY_TYPES:
        search = Search({type_: EVERYTHING}, count=_PAGE)
        while True:
            page = await store.search(search)
            found += [(version.key, version.body.data) for version in page.versions]
            if page.next is None:
                break
            search = replace(search, after=page.next)
    return Library().changed(found)


def _entries(key: ResourceKey, data: bytes) -> Iterator[Entry]:
    raw = members(data) if data else {}
    if raw and (key.type != "CodeSystem" or _text(raw, "content") not in _EMPTY):
        yield Entry(f"{key.type}/{key.id}", _text(raw, "url"), _text(raw, "version"), data)


def _text(raw: Mapping[str, bytes], name: str) -> str:
    value = decode(raw[name]) if name in raw else ""
    return value if isinstance(value, str) else ""


def _order(entry: Entry) -> tuple[object, ...]:
    """Numbers of a version count as numbers: 1.10 comes after 1.9."""
    numbers = [part.lstrip("0") if part.isdecimal() else part for part in _BETWEEN.split(entry.version)]
    return [(part.isdecimal() or not part, len(part) if part.isdecimal() else 0, part) for part in numbers], entry.name
