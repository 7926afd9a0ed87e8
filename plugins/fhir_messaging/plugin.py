"""The hooks of the plugin."""

from weakref import WeakValueDictionary

from fhir_messaging.convert import convert
from fhir_messaging.delivery import deliver
from fhir_messaging.processing import ProcessMessage
from fhir_messaging.records import DELIVERIES, MESSAGES, forget
from fhir_messaging.registry import Registry
from fhir_server.plugin_api import Collection, Operation, Scheduled, hookimpl, r4_operation

_registries: WeakValueDictionary[str, Registry] = WeakValueDictionary()
"""The registry of the server that is being put together, as long as that is there: the server asks for services first,
then for operations."""
_LATEST = "latest"


@hookimpl
def register_services() -> dict[str, object]:
    """Offer the registry to other plugins."""
    registry = _registries[_LATEST] = Registry()
    return {"message-events": registry}


@hookimpl
def register_operations() -> list[Operation]:
    """Add `$process-message` and `$convert`."""
    process = r4_operation("MessageHeader-process-message", affects_state=True)
    return [
        Operation(process, ProcessMessage(_registries[_LATEST]), "Process a message, once, and answer it."),
        Operation(r4_operation("Resource-convert"), convert, "From JSON, XML or NDJSON into another.", any_format=True),
    ]


@hookimpl
def register_collections() -> list[Collection]:
    """Remember messages, and what is to be delivered."""
    return [MESSAGES, DELIVERIES]


@hookimpl
def register_scheduled_jobs() -> list[Scheduled]:
    """Deliver responses; forget old messages."""
    return [
        Scheduled("deliver", deliver, every=5, each_tenant=True),
        Scheduled("forget", forget, cron="15 3 * * *", each_tenant=True),
    ]
