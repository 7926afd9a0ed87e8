"""The concept maps of a library by the systems that they are from and to, read once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from fhir_server.packages import Library
from fhir_server.terminology.members import parts, text

Json = Mapping[str, Any]


class Maps:
    """All concept maps of a library."""

    def __init__(self, library: Library) -> None:
        self._by_system: dict[str, list[Json]] = {}
        self._by_url: dict[str, list[tuple[str, Json]]] = {}
        first: dict[tuple[str, str], str] = {}
        for entry in library.all("ConceptMap"):
            # Of one URL and version, those of the same source all count; they hide those of packages below.
            if entry.url and first.setdefault((entry.url, entry.version), entry.source) != entry.source:
                continue
            resource = entry.parse()
            self._by_url.setdefault(entry.url, []).append((entry.version, resource))
            for system in _systems(resource):
                self._by_system.setdefault(system, []).append(resource)

    def named(self, url: str, version: str) -> Sequence[Json]:
        """Return the maps of a canonical URL, which several may share."""
        return [resource for each, resource in self._by_url.get(url, ()) if each == version]

    def about(self, system: str) -> Sequence[Json]:
        """Return the maps with a group from or to a system, and those with one that names none."""
        return [*self._by_system.get(system, ()), *self._by_system.get("", ())]


def _systems(resource: Json) -> Iterable[str]:
    """Return each system that the groups of a map name, without its version."""
    return dict.fromkeys(
        text(group, end).partition("|")[0] for group in parts(resource, "group") for end in ("source", "target")
    )


_kept: WeakKeyDictionary[Library, Maps] = WeakKeyDictionary()


def maps_of(library: Library) -> Maps:
    """Return the maps of a library; they are kept as long as it is."""
    found = _kept.get(library)
    if found is None:
        found = _kept[library] = Maps(library)
    return found
