"""The hooks of the plugin."""

from collections.abc import Sequence
from typing import Any

from fhir_server.plugin_api import (
    Background,
    Collection,
    Consumer,
    FeedChange,
    Host,
    Operation,
    PluginContext,
    SocketRoute,
    WriteCheck,
    hookimpl,
)
from fhir_subscriptions import checking, log, operations, sockets, structure
from fhir_subscriptions.consumer import Evaluator
from fhir_subscriptions.delivery import Deliverer

_SOCKET = "http://hl7.org/fhir/StructureDefinition/capabilitystatement-websocket"


async def _consume(ctx: PluginContext, changes: Sequence[FeedChange]) -> None:
    evaluator: Evaluator = ctx.shared.setdefault("evaluator", Evaluator())
    await evaluator.consume(ctx, changes)


async def _deliver(host: Host) -> None:
    await Deliverer(host).run()


@hookimpl
def register_consumers() -> Sequence[Consumer]:
    """Follow all changes."""
    return [Consumer("events", _consume, start="beginning", batch=200)]


@hookimpl
def register_background() -> Sequence[Background]:
    """Deliver."""
    return [Background("delivery", _deliver)]


@hookimpl
def register_collections() -> Sequence[Collection]:
    """Keep subscriptions, the log of events, and tokens."""
    return log.COLLECTIONS


@hookimpl
def register_write_checks() -> Sequence[WriteCheck]:
    """Look at subscriptions and topics."""
    return checking.CHECKS


@hookimpl
def register_operations() -> Sequence[Operation]:
    """Add $status, $events and $get-ws-binding-token."""
    return operations.operations()


@hookimpl
def register_routes() -> Sequence[SocketRoute]:
    """Add the WebSocket."""
    return sockets.ROUTES


@hookimpl
def register_resource_types() -> Sequence[dict[str, Any]]:
    """Add SubscriptionTopic."""
    return [structure.structure()]


@hookimpl
def register_search_parameters() -> Sequence[dict[str, Any]]:
    """Add the search parameters of SubscriptionTopic."""
    return structure.search_parameters()


@hookimpl
def amend_capabilities(statement: dict[str, Any]) -> dict[str, Any]:
    """Say where the WebSocket is."""
    base = str(statement.get("implementation", {}).get("url", ""))
    extension = {"url": _SOCKET, "valueUri": operations.socket_url(base)}
    rest = [{**each, "extension": [*each.get("extension", ()), extension]} for each in statement["rest"]]
    return {**statement, "rest": rest}
