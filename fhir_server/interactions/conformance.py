"""What all tenants share of conformance resources, and what is made of those of one."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from fhir_server.definitions import Definitions, load
from fhir_server.model.json import encode
from fhir_server.packages import Entry, Library, Limits, Package, core_library, entry_of, folder_packages, installed
from fhir_server.settings import Settings
from fhir_server.terminology import Terminology
from fhir_server.terminology.kept_expansions import KeptExpansions
from fhir_server.terminology.large_systems import LargeSystems
from fhir_server.terminology.sources import Sources
from fhir_server.terminology.systems import installed_systems
from fhir_server.validation import Validator

_PLUGINS = "plugins"
"""The source that conformance resources of plugins are said to have."""


class Conformance:
    """Made once in each process, after it was forked: it opens the files of code systems when they are asked for.

    Attributes:
        limits: what a package may hold.
        packages: those that are in force for all tenants.
        base: R4's own resources, under those of plugins, under those packages.
    """

    def __init__(
        self,
        settings: Settings,
        definitions: Definitions | None = None,
        added: Sequence[Mapping[str, object]] = (),
    ) -> None:
        self.limits = _limits(settings)
        self.packages: Sequence[Package] = folder_packages(settings.package_dir, self.limits)
        self.base = _with(added, shared_library(settings))
        self._definitions = definitions or load()
        self._systems = installed_systems(settings.data_dir)
        self._large = LargeSystems(settings.terminology_held)
        self._most_codes = settings.max_or_values
        self._most_expanded = settings.max_expansion
        self._expansions = KeptExpansions(settings.data_dir / "expansions")

    @property
    def generation(self) -> int:
        """Return a number that changes when a code system that is no resource was loaded or removed."""
        return self._systems.generation

    def over_packages(self, packages: Sequence[Package]) -> Library:
        """Return the library of a tenant's packages, over what all have."""
        return installed.library_of(packages, self.base)

    def made_of(self, library: Library) -> tuple[Terminology, Validator]:
        """Return what answers and checks by a library; neither reads of it what nobody asks for."""
        self._large.prepare(library.own("CodeSystem"))
        sources = Sources(library, self._systems, large=self._large)
        terminology = Terminology(library, self._most_codes, sources, self._most_expanded, self._expansions)
        return terminology, Validator(self._definitions, library, terminology)


def _with(resources: Sequence[Mapping[str, object]], below: Library) -> Library:
    """Return a library with the resources of plugins in it."""
    if not resources:
        return below
    return Library((_entry(str(each["resourceType"]), each) for each in resources), below)


def _entry(type_: str, resource: Mapping[str, object]) -> Entry:
    return entry_of(f"{_PLUGINS}/{type_}/{resource.get('id') or resource['url']}", type_, encode(resource), _PLUGINS)


def shared_library(settings: Settings) -> Library:
    """Return what all tenants have: R4's own resources under the packages of folders; read once a process."""
    return _shared_library(settings.package_dir, _limits(settings))


@cache
def _shared_library(folder: Path | None, limits: Limits) -> Library:
    return installed.library_of(folder_packages(folder, limits), core_library())


def _limits(settings: Settings) -> Limits:
    return Limits(settings.max_package, settings.max_package_file, settings.max_package_files)
