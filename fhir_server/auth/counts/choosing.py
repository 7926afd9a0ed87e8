"""Which place the counts of a server are kept in."""

from fhir_server.auth.counts.counts import Counts
from fhir_server.auth.counts.file import FILE, FileCounts
from fhir_server.auth.counts.records import Home, RecordCounts
from fhir_server.settings import Settings


def counts_of(settings: Settings, home: Home) -> Counts:
    """Return Redis where `coordinator_url` names one, the store where nodes share it, else a file of this machine."""
    if settings.coordinator_url:
        from fhir_server.auth.counts.redis import RedisCounts  # a package of its own, for who asks for it

        return RedisCounts(settings.coordinator_url, settings.mongodb_database)
    return RecordCounts(home) if settings.shared else FileCounts(settings.data_dir / FILE)
