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
        seen: set[tuple[str, str]] = set()
        for entry in library.all("ConceptMap"):
            if (entry.url, entry.version) in seen:
                continue
            if entry.url:
                seen.add((entry.url, entry.version))
            resource = entry.parse()
            for system in _systems(resource):
                self._by_system.setdefault(system, []).append(resource)

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
