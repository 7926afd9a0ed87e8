"""Where value sets and code systems come from: resources of a library, then systems beside it. What is read is kept."""

from collections.abc import Sequence
from typing import Any

from fhir_server.packages import Entry, Library
from fhir_server.terminology.code_system import CodeSystem, SystemProvider
from fhir_server.terminology.composition import Composition, read_composition
from fhir_server.terminology.resource_system import ResourceSystem

_MOST_KEPT = 2_000
_EMPTY = ("not-present", "supplement")


class Sources:
    """The value sets and code systems of a library and a provider, each read when it is first asked for."""

    def __init__(self, library: Library, provider: SystemProvider) -> None:
        self.library = library
        self.provider = provider
        self._systems: dict[str, ResourceSystem] = {}
        self._found: dict[tuple[str, str], CodeSystem | None] = {}
        self._sets: dict[str, Composition | None] = {}

    def system(self, url: str, version: str = "") -> CodeSystem | None:
        """Return a code system that has concepts: a resource, else one of the provider."""
        key = (url, version)
        if key not in self._found:
            _bounded(self._found)
            self._found[key] = self._system(url, version)
        return self._found[key]

    def versions(self, url: str) -> Sequence[str]:
        """Return the versions of a code system, the latest first."""
        held = [entry.version for entry in self.library.versions("CodeSystem", url) if self._holds(entry)]
        return list(dict.fromkeys([*held, *self.provider.versions(url)]))

    def value_set(self, canonical: str) -> Composition | None:
        """Return a value set by `url`, `url|version` or `ValueSet/123`: a resource, else an implicit one."""
        if canonical not in self._sets:
            _bounded(self._sets)
            self._sets[canonical] = self._value_set(canonical)
        return self._sets[canonical]

    def _system(self, url: str, version: str) -> CodeSystem | None:
        if "|" in url and not version:
            url, _, version = url.partition("|")
        entry = self.library.find("CodeSystem", f"{url}|{version}" if version else url)
        if entry is not None and self._holds(entry):
            return self._read(entry)
        return self.provider.find(url, version)

    def _read(self, entry: Entry) -> ResourceSystem:
        if entry.name not in self._systems:
            self._systems[entry.name] = ResourceSystem(entry.parse())
        return self._systems[entry.name]

    def _holds(self, entry: Entry) -> bool:
        return self._read(entry).header.content not in _EMPTY

    def _value_set(self, canonical: str) -> Composition | None:
        entry = self.library.find("ValueSet", canonical)
        if entry is not None:
            return read_composition(entry.parse())
        url = canonical.partition("|")[0]
        implicit = self.provider.value_set(url)
        return read_composition(implicit) if implicit is not None else None


def _bounded(kept: dict[Any, Any]) -> None:
    """Start anew where too much is kept: URLs come from clients."""
    if len(kept) >= _MOST_KEPT:
        kept.clear()
