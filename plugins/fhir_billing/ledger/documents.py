"""Documents of the ledger: resources that are derived from entries, and that nobody else writes."""

from typing import Any

from fhir_billing.ledger.records import DOCUMENTS
from fhir_server.plugin_api import PluginStore, RecordChange


def owner_change(document: str, kind: str, **facts: Any) -> RecordChange:
    """Return the record that makes a document (`Invoice/1`) the ledger's; its derived fields are guarded from then."""
    return RecordChange(DOCUMENTS.name, document, {"kind": kind, **facts})


async def owned(store: PluginStore, document: str) -> dict[str, Any] | None:
    """Return what is noted of a document of the ledger; None where it is not one."""
    record = await store.get(DOCUMENTS.name, document)
    return None if record is None else dict(record.value)
