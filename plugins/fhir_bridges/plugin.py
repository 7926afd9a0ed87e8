"""The hooks of the plugin."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

from fhir_bridges.events import event_of
from fhir_bridges.incoming import REFUSED, SEEN, Source, run
from fhir_bridges.senders import Sender, Unavailable, missing, sender_of
from fhir_bridges.settings import BridgeSettings, In, Out
from fhir_server.plugin_api import (
    Background,
    Collection,
    Consumer,
    FeedChange,
    HealthCheck,
    Host,
    PluginContext,
    RecordChange,
    Scheduled,
    Where,
    counted_delivery,
    hookimpl,
)

_DAY: Final = 86_400_000
_AT_ONCE: Final = 1_000


def _senders(shared: dict[str, Any]) -> dict[str, Sender]:
    found: dict[str, Sender] = shared.setdefault("senders", {})
    return found


async def _send(bridge: Out, ctx: PluginContext, changes: Sequence[FeedChange]) -> None:
    """Send changes; what it raises is why they are sent again."""
    senders = _senders(ctx.shared)
    if bridge.name not in senders:
        senders[bridge.name] = sender_of(bridge)
    full = bridge.content == "full"
    with counted_delivery("fhir_bridges", bridge.kind):
        await senders[bridge.name].send([(ctx.tenant, event_of(change, ctx.base, full=full)) for change in changes])


@hookimpl
def register_consumers(settings: BridgeSettings) -> Sequence[Consumer]:
    """Follow changes for each bridge that goes out."""
    return [
        Consumer(
            f"out.{bridge.name}",
            partial(_send, bridge),
            types=bridge.types,
            partitions=bridge.partitions,
            start=bridge.start,
            timeout=max(60.0, bridge.timeout * 4),
            tenants=bridge.tenants,
        )
        for bridge in settings.out
    ]


@hookimpl
def register_background(settings: BridgeSettings) -> Sequence[Background]:
    """Take messages for each bridge that comes in."""
    return [Background(f"into.{bridge.name}", partial(_take, bridge)) for bridge in settings.into]


async def _take(bridge: In, host: Host) -> None:
    await run(host, bridge, source_of(bridge))


def source_of(bridge: In) -> Source:
    """Return the source of a bridge. Raises Unavailable."""
    remedy = missing(bridge.kind)
    if remedy:
        raise Unavailable(f"bridge {bridge.name} needs a package: {remedy}")
    if bridge.kind == "kafka":
        from fhir_bridges.kafka import KafkaIn

        return KafkaIn(bridge)
    if bridge.kind == "mqtt":
        from fhir_bridges.mqtt import MqttIn

        return MqttIn(bridge)
    from fhir_bridges.jetstream import NatsIn

    return NatsIn(bridge)


@hookimpl
def register_collections() -> Sequence[Collection]:
    """Keep ids of messages, and what was refused."""
    return [SEEN, REFUSED]


@hookimpl
def register_scheduled_jobs(settings: BridgeSettings) -> Sequence[Scheduled]:
    """Forget ids of old messages."""
    if not settings.into:
        return []
    return [Scheduled("forget", _forget, every=86_400, each_tenant=True, written_only=True)]


async def _forget(ctx: PluginContext) -> None:
    before = ctx.now() - ctx.settings.remember_days * _DAY
    while old := await ctx.store.find(SEEN.name, [Where("at", "<", before)], limit=_AT_ONCE):
        await ctx.store.put(*(RecordChange(SEEN.name, record.key, None) for record in old))


@hookimpl
def register_health_checks(settings: BridgeSettings) -> Sequence[HealthCheck]:
    """Say which packages are missing."""
    kinds = dict.fromkeys([bridge.kind for bridge in settings.out] + [bridge.kind for bridge in settings.into])
    return [HealthCheck(kind, _packages(kind)) for kind in kinds if kind != "webhook"]


def _packages(kind: str) -> Callable[[Host], Awaitable[str | None]]:
    async def check(host: Host) -> str | None:
        return missing(kind) or None

    return check


@hookimpl
async def on_stop(host: Host) -> None:
    """Let go of all connections."""
    senders = _senders(host.shared)
    while senders:
        _, sender = senders.popitem()
        await sender.close()
