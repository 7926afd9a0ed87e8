"""What is sent to others: counted by plugin and channel, and a span of the trace."""

from collections.abc import Iterator
from contextlib import contextmanager

from fhir_server.telemetry import tracing
from fhir_server.telemetry.numbers import SENT


@contextmanager
def counted_delivery(plugin: str, channel: str) -> Iterator[None]:
    """Count what the context sends: as `failed` where it raises. Both names are words of the code."""
    outcome = "failed"
    try:
        with tracing.span("delivery", "client", {"plugin": plugin, "channel": channel}):
            yield
        outcome = "ok"
    finally:
        SENT.add(plugin, channel, outcome)
