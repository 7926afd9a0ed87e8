"""The hooks of the plugin."""

from weakref import WeakValueDictionary

from fhir_cds_hooks.client_token import ONCE, Clients, sweep
from fhir_cds_hooks.endpoint import Endpoint
from fhir_cds_hooks.feedback import FEEDBACK
from fhir_cds_hooks.registry import Registry
from fhir_cds_hooks.settings import CdsHooksSettings
from fhir_server.plugin_api import Collection, Route, Scheduled, hookimpl

_registries: WeakValueDictionary[str, Registry] = WeakValueDictionary()
"""The registry of the server that is being put together, as long as that is there: the server asks for services first,
then for routes."""
_LATEST = "latest"


@hookimpl
def register_services() -> dict[str, object]:
    """Offer the registry to other plugins."""
    registry = _registries[_LATEST] = Registry()
    return {"cds-services": registry}


@hookimpl
def register_routes(settings: CdsHooksSettings) -> list[Route]:
    """Add the endpoints."""
    return Endpoint(_registries[_LATEST], Clients(settings)).routes()


@hookimpl
def register_collections() -> list[Collection]:
    """Keep feedback, and which tokens were used."""
    return [FEEDBACK, ONCE]


@hookimpl
def register_scheduled_jobs() -> list[Scheduled]:
    """Forget used tokens once they have expired."""
    return [Scheduled("sweep", sweep, every=600, each_tenant=True, written_only=True)]
