"""The hooks of the plugin."""

from collections.abc import Sequence

from fhir_billing import ledger
from fhir_billing.ledger import guard
from fhir_server.plugin_api import Collection, WriteCheck, hookimpl


@hookimpl
def register_collections() -> Sequence[Collection]:
    """Keep the books."""
    return (*ledger.COLLECTIONS,)


@hookimpl
def register_write_checks() -> Sequence[WriteCheck]:
    """Guard the documents of the ledger."""
    return (*guard.CHECKS,)
