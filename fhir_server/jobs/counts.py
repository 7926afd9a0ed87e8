"""Jobs in numbers: how many wait and run, and since when the oldest does."""

from collections import Counter
from collections.abc import Iterable
from typing import Final
from weakref import WeakSet

from fhir_server.jobs.job import JOBS, OPEN, read_job
from fhir_server.storage.base import Store, Where
from fhir_server.telemetry.numbers import JOBS as SHOWN
from fhir_server.telemetry.numbers import JOBS_OLDEST

_MOST: Final = 1_000
_declared: WeakSet[Store] = WeakSet()


async def count_jobs(stores: Iterable[Store], now: int) -> None:
    """Set the gauges to what the tenants that are open here come to."""
    states, oldest = Counter[str](), now
    for store in stores:
        if store not in _declared:
            await store.declare(JOBS)
            _declared.add(store)
        for record in await store.records.find(JOBS.name, [Where("state", "in", OPEN)], limit=_MOST):
            job = read_job(record).seen_at(now)
            states[job.state] += 1
            oldest = min(oldest, job.created)
    SHOWN.put({(state,): float(states[state]) for state in OPEN})
    JOBS_OLDEST.set((now - oldest) / 1_000)
