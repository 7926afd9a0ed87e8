"""How far the indexes are behind their stores, for health and numbers."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fhir_server.storage.elasticsearch.connection import Connection, IndexDown, Refused
from fhir_server.storage.elasticsearch.store import IndexedStore
from fhir_server.telemetry.health import Finding


@dataclass(frozen=True, slots=True)
class Lag:
    """Of one tenant: changes that its index lacks, and the age of the oldest in seconds."""

    changes: int = 0
    seconds: float = 0.0


class Lags:
    """Looks at the tenants that are open in this process."""

    def __init__(self, stores: Mapping[str, IndexedStore], connection: Connection, clock: Callable[[], int]) -> None:
        self._stores, self._connection, self._clock = stores, connection, clock

    async def finding(self) -> Finding:
        """Return the lag of the tenant that is furthest behind. Without the index requests are answered all the same,
        so it is never worse than degraded."""
        try:
            found = await asyncio.gather(*(self.of(store) for store in tuple(self._stores.values())))
        except (IndexDown, Refused) as error:
            reason = {"engine": "elasticsearch", "reason": str(error)}
            return Finding("degraded", "Elasticsearch does not answer: the database searches alone", reason)
        lags = [lag for lag in found if lag is not None]
        seconds = max((lag.seconds for lag in lags), default=0.0)
        details = {
            "engine": "elasticsearch", "lag_seconds": round(seconds, 3),
            "behind": sum(lag.changes for lag in lags), "building": len(found) - len(lags),
        }  # fmt: skip
        if len(lags) < len(found):
            return Finding("degraded", "an index is being built", details)
        if seconds > self._connection.settings.elasticsearch_lag:
            return Finding("degraded", "it lags", details)
        return Finding("ok", "", details)

    async def of(self, store: IndexedStore) -> Lag | None:
        """Return the lag of one tenant; None where it has no index yet. Raises IndexDown."""
        meta = await store.index.meta()
        if meta is None:
            return None
        changes = await store.inner.count_changes(meta.applied)
        if not changes:
            return Lag()
        first = await store.inner.changes(meta.applied, 1)
        return Lag(changes, max(0, self._clock() - first[0].last_updated) / 1_000 if first else 0.0)
