"""The feed in numbers, for Prometheus: how far each consumer is behind, and what of it failed."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fhir_server.feed.desk import status
from fhir_server.storage.base import Store
from fhir_server.telemetry.health import Finding


@dataclass(frozen=True, slots=True)
class Gauge:
    """One number of each consumer; the labels are tenant and consumer."""

    name: str
    help: str
    values: dict[tuple[str, str], float] = field(default_factory=dict)


async def numbers(stores: Mapping[str, Store], now: int) -> list[Gauge]:
    """Return the gauges of the tenants that are open here, as their records have it."""
    behind = Gauge("fhir_server_feed_behind", "Changes that a consumer has not been given yet.")
    lag = Gauge("fhir_server_feed_lag_seconds", "Age of the oldest change that a consumer has not been given yet.")
    waiting = Gauge("fhir_server_feed_waiting", "Changes that failed and wait for another try.")
    dead = Gauge("fhir_server_feed_dead_letters", "Changes that were given up.")
    failing = Gauge("fhir_server_feed_failing", "1 where a consumer takes nothing at all.")
    for tenant, store in stores.items():
        for each in await status(store):
            at = (tenant, str(each["name"]))
            behind.values[at] = each["behind"]
            lag.values[at] = max(0, now - each["oldest"]) / 1_000 if each["oldest"] else 0
            waiting.values[at], dead.values[at] = each["waiting"], each["dead"]
            failing.values[at] = float("failing" in each)
    return [behind, lag, waiting, dead, failing]


async def feed_health(read: Callable[[], Awaitable[Sequence[Gauge]]]) -> Finding:
    """Return how far the slowest consumer is behind, and which of them take nothing."""
    found = {gauge.name.removeprefix("fhir_server_feed_"): gauge.values for gauge in await read()}
    failing = sorted({consumer for (_, consumer), value in found.get("failing", {}).items() if value})
    lag = max(found.get("lag_seconds", {}).values(), default=0.0)
    said = f"takes nothing: {', '.join(failing)}" if failing else ""
    return Finding("degraded" if failing else "ok", said, {"lag_seconds": round(lag, 3)})
