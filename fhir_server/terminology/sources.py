"""Where value sets and code systems come from: resources of a library, then systems beside it. What is read is kept."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fhir_server.model.json import encode
from fhir_server.packages import Entry, Library, entry_of
from fhir_server.packages.core import CORE
from fhir_server.terminology.code_system import CodeSystem, Json, SystemProvider
from fhir_server.terminology.composition import Composition, read_composition
from fhir_server.terminology.large_systems import LARGE, LargeSystems
from fhir_server.terminology.members import text
from fhir_server.terminology.resource_system import ResourceSystem
from fhir_server.terminology.versions import fits, is_pattern, latest

_MOST_KEPT = 2_000
_EMPTY = ("not-present", "supplement")
_PASSED = "request/"

_GROWING = frozenset(("http://terminology.hl7.org/CodeSystem/hl7-work-group",))
"""Systems that grow every year, of which R4 has the state of 2019: to them, what R4 holds is a part."""


_core: dict[str, ResourceSystem] = {}
"""What was read of R4 itself, which is the same for all tenants."""

_core_sets: dict[str, Composition] = {}


class Sources:
    """The value sets and code systems of a library and a provider, each read when it is first asked for.

    Args:
        below: the sources that these lie over; what they have read is shared.
        large: where large resources are read; without it they are read as all others.
    """

    def __init__(
        self,
        library: Library,
        provider: SystemProvider,
        below: "Sources | None" = None,
        large: LargeSystems | None = None,
    ) -> None:
        self.library = library
        self._large = large
        self.provider = provider
        self._below = below
        self._read: dict[str, ResourceSystem] = {}
        self._found: dict[tuple[str, str], CodeSystem | None] = {}
        self._sets: dict[str, Composition | None] = {}
        self._versions: dict[str, Sequence[str]] = {}

    def over(self, resources: Iterable[Json]) -> "Sources":
        """Return sources with resources of a request over these."""
        entries = [
            entry_of(f"{_PASSED}{number}", text(each, "resourceType"), encode(each))
            for number, each in enumerate(resources)
        ]
        return Sources(Library(entries, self.library), self.provider, self)

    def system(self, url: str, version: str = "") -> CodeSystem | None:
        """Return a code system that has concepts: a resource, else one of the provider. A version may be a pattern."""
        if "|" in url:
            url, _, version = url.partition("|")
        key = (url, version)
        if key not in self._found:
            _bounded(self._found)
            self._found[key] = self._system(url, version)
        return self._found[key]

    def versions(self, url: str) -> Sequence[str]:
        """Return the versions of a code system that has concepts, the latest first."""
        if url not in self._versions:
            _bounded(self._versions)
            entries = self.library.versions("CodeSystem", url)
            held = [entry.version for entry in entries if self.read(entry).header.content not in _EMPTY]
            self._versions[url] = list(dict.fromkeys([*held, *self.provider.versions(url)]))
        return self._versions[url]

    def resource(self, canonical: str) -> ResourceSystem | None:
        """Return a CodeSystem of the library as it is: a supplement, or one without concepts, too."""
        entry = self.library.find("CodeSystem", canonical)
        return None if entry is None else self.read(entry)

    def supplement(self, canonical: str) -> ResourceSystem | None:
        """Return a supplement by canonical URL."""
        found = self.resource(canonical)
        return found if found is not None and found.header.content == "supplement" else None

    def value_set(self, canonical: str) -> Composition | None:
        """Return a value set by `url`, `url|version` or `ValueSet/123`: a resource, else an implicit one."""
        if canonical not in self._sets:
            _bounded(self._sets)
            self._sets[canonical] = self._value_set(canonical)
        return self._sets[canonical]

    def read(self, entry: Entry) -> ResourceSystem:
        """Return the system of an entry of the library."""
        if self._below is not None and not entry.name.startswith(_PASSED):
            return self._below.read(entry)
        kept = _core if entry.source == CORE else self._read
        if entry.name not in kept:
            if self._large is not None and entry.source != CORE and len(entry.data) >= LARGE:
                kept[entry.name] = self._large.read(entry.data, entry.parse)
                return kept[entry.name]
            resource = entry.parse()
            if entry.url in _GROWING and entry.source == CORE:
                resource = {**resource, "content": "fragment"}
            kept[entry.name] = ResourceSystem(resource, entry.data)
        return kept[entry.name]

    def _system(self, url: str, version: str) -> CodeSystem | None:
        if is_pattern(version):
            version = latest(self.versions(url), version) or version
        first = None if version else self.library.find("CodeSystem", url)
        for entry in [*([first] if first else ()), *self.library.versions("CodeSystem", url)]:
            if fits(entry.version, version) and self.read(entry).header.content not in _EMPTY:
                return self.read(entry)
        return self.provider.find(url, version)

    def _value_set(self, canonical: str) -> Composition | None:
        entry = self.library.find("ValueSet", canonical)
        if entry is not None:
            passed = entry.name.startswith(_PASSED)
            return (
                read_composition(entry.parse()) if passed or self._below is None else self._below.value_set(canonical)
            )
        url, _, version = canonical.partition("|")
        implicit = self.provider.value_set(url) or self._whole(url, version)
        return None if implicit is None else read_composition(implicit)

    def _whole(self, url: str, version: str) -> Json | None:
        """Return the value set of all codes of a system that names it so."""
        names = re.compile(rb'"valueSet"\s*:\s*"' + re.escape(url.encode()))
        for entry in self.library.all("CodeSystem"):
            if url and names.search(entry.data):
                header = self.read(entry).header
                if header.value_set.partition("|")[0] == url and version in ("", header.version):
                    return _implicit(url, header.url, header.version)
        return None


def _implicit(url: str, system: str, version: str) -> Json:
    include: Mapping[str, Any] = {"system": system}
    named = {"resourceType": "ValueSet", "url": url, "status": "active", "compose": {"include": [include]}}
    return named | ({"version": version} if version else {})


def _bounded(kept: dict[Any, Any]) -> None:
    """Start anew where too much is kept: URLs come from clients."""
    if len(kept) >= _MOST_KEPT:
        kept.clear()
