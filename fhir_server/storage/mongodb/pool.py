"""The driver's connections in numbers.

Spec: https://github.com/mongodb/specifications/blob/master/source/connection-monitoring-and-pooling/connection-monitoring-and-pooling.md
"""

from collections.abc import Iterator
from typing import Any

from pymongo.monitoring import ConnectionPoolListener

from fhir_server.telemetry.numbers import CONNECTION_WAITS, CONNECTIONS
from fhir_server.telemetry.sharing import Sampled, sample_by


class PoolNumbers(ConnectionPoolListener):
    """Counts the connections of one client; the driver calls it on the event loop."""

    def __init__(self) -> None:
        self._open = self._used = 0
        sample_by(self._sampled)

    def _sampled(self) -> Iterator[Sampled]:
        yield CONNECTIONS, self._used, ("in_use",)
        yield CONNECTIONS, max(0, self._open - self._used), ("idle",)

    def connection_created(self, event: Any) -> None:
        """Count one more."""
        self._open += 1

    def connection_closed(self, event: Any) -> None:
        """Count one less."""
        self._open -= 1

    def connection_checked_out(self, event: Any) -> None:
        """Somebody has one."""
        self._used += 1

    def connection_checked_in(self, event: Any) -> None:
        """Somebody gave one back."""
        self._used -= 1

    def connection_check_out_failed(self, event: Any) -> None:
        """Somebody could not have one."""
        CONNECTION_WAITS.add(str(event.reason))

    def connection_ready(self, event: Any) -> None:
        """Not counted."""

    def connection_check_out_started(self, event: Any) -> None:
        """Not counted."""

    def pool_created(self, event: Any) -> None:
        """Not counted."""

    def pool_ready(self, event: Any) -> None:
        """Not counted."""

    def pool_cleared(self, event: Any) -> None:
        """Not counted."""

    def pool_closed(self, event: Any) -> None:
        """Not counted."""
