"""Index entries of what is moved, made anew by the search parameters in force in its tenant."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from fhir_server.app import definitions_of
from fhir_server.audit.events import keys_of
from fhir_server.interactions.parameters_in_force import registry_of
from fhir_server.model.json import decode
from fhir_server.plugins import load_plugins
from fhir_server.search.entries import IndexEntries
from fhir_server.search.indexing import Extractor
from fhir_server.search.parameters import ParameterRegistry
from fhir_server.settings import Settings
from fhir_server.storage.audit import AuditEntry
from fhir_server.storage.moving import Kept
from fhir_server.tenancy.registration import public_base

_REPORTED = "AuditEvent"


@dataclass(frozen=True, slots=True)
class Indexing:
    """Makes index entries and keys of audit rows for one tenant."""

    extractor: Extractor
    base: str

    def extract(self, type_: str, data: bytes) -> IndexEntries:
        """Return the entries of a stored body."""
        return self.extractor.extract(type_, decode(data), own_base=self.base)

    def keys(self, entry: AuditEntry) -> Sequence[str]:
        """Return what a row of the audit log may be found by."""
        return keys_of(entry, self._named)

    def _named(self, document: bytes) -> list[str]:
        references = self.extract(_REPORTED, document).references
        return [f"{type_}/{id_}" for _, type_, id_, *_ in references if type_ and id_]


async def indexing_of(kept: Kept, tenant: str, settings: Settings) -> Indexing:
    """Return what indexes a tenant: R4's parameters, those of the plugins, and its own."""
    custom = [decode(version.body.data) for version in await kept.current("SearchParameter")]
    registry = registry_of(ParameterRegistry.of_definitions(definitions_of(settings)), [*_added(settings), *custom])
    zone: tzinfo = UTC if settings.default_timezone == "UTC" else ZoneInfo(settings.default_timezone)
    extractor = Extractor(registry, zone=zone, trusted=settings.validation != "off")
    return Indexing(extractor, public_base(settings, tenant))


def _added(settings: Settings) -> list[Mapping[str, object]]:
    found = load_plugins(settings).registered("register_search_parameters")
    return [parameter for _, parameter in found]


Extract = Callable[[str, bytes], IndexEntries]
