"""The feed in numbers: how far each consumer is behind, and what of it failed, as the records have it."""

from collections.abc import Iterable

from fhir_server.feed.desk import status
from fhir_server.storage.base import Store
from fhir_server.telemetry.health import Finding
from fhir_server.telemetry.numbers import FEED_BEHIND, FEED_DEAD, FEED_FAILING, FEED_LAG, FEED_WAITING

_SUMS = {FEED_BEHIND: "behind", FEED_WAITING: "waiting", FEED_DEAD: "dead"}


async def read_numbers(stores: Iterable[Store], now: int, home: Store | None = None) -> None:
    """Set the gauges to what the tenants that are open here come to: the longest lag, and sums.

    home: the default tenant, which knows what consumers there are; those that are gone lack nothing.
    """
    sums: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in (*_SUMS.values(), "lag", "failing")}
    for store in stores:
        for each in await status(store, home):
            if each["state"] == "gone":
                continue
            at = (str(each["name"]),)
            for name in _SUMS.values():
                sums[name][at] = sums[name].get(at, 0) + each[name]
            lag = max(0, now - each["oldest"]) / 1_000 if each["oldest"] else 0
            sums["lag"][at] = max(sums["lag"].get(at, 0), lag)
            sums["failing"][at] = sums["failing"].get(at, 0) + ("failing" in each)
    for gauge, name in _SUMS.items():
        gauge.put(sums[name])
    FEED_LAG.put(sums["lag"])
    FEED_FAILING.put(sums["failing"])


def feed_health() -> Finding:
    """Return how far the slowest consumer is behind, and which of them take nothing, by the gauges."""
    failing = sorted(consumer for (consumer,), value in FEED_FAILING.values.items() if value)
    lag = max(FEED_LAG.values.values(), default=0.0)
    said = f"takes nothing: {', '.join(failing)}" if failing else ""
    return Finding("degraded" if failing else "ok", said, {"lag_seconds": round(lag, 3)})
