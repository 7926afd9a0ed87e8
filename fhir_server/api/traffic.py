"""How many requests were answered, how, and how fast: the numbers that operators alarm on.

With several workers each writes its counts beside the data, once a second while they change, and whoever is asked
adds up all of them. Nothing but counts by interaction, resource type and status is kept.
"""

import asyncio
import json
import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from fhir_server.errors import FhirError
from fhir_server.model.exchange import FhirRequest, FhirResponse

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends in seconds."""
GONE: Final = 499
"""The status of a request whose client went away."""
_EVERY: Final = 1.0

Dispatch = Callable[[FhirRequest], Awaitable[FhirResponse]]
Answered = tuple[str, str, str]


class Traffic(Collector):
    """Counts of this process; `folder` is where those of all workers stand, None where there is one."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._answered: Counter[Answered] = Counter()
        self._times: dict[str, list[float]] = {}
        self._saving: asyncio.TimerHandle | None = None

    def counted(self, dispatch: Dispatch) -> Dispatch:
        """Return the dispatcher with its requests counted."""

        async def answer(request: FhirRequest) -> FhirResponse:
            began, status = perf_counter(), 500
            try:
                response = await dispatch(request)
                status = response.status
                return response
            except FhirError as error:
                status = error.status
                raise
            except asyncio.CancelledError:
                status = GONE
                raise
            finally:
                self.add(request, status, perf_counter() - began)

        return answer

    def add(self, request: FhirRequest, status: int, seconds: float) -> None:
        """Count one request."""
        name = f"${request.operation}" if request.interaction == "operation" else request.interaction
        self._answered[name, request.type or "", str(status)] += 1
        times = self._times.get(name)
        if times is None:
            times = self._times[name] = [0.0] * (len(BUCKETS) + 2)
        times[bisect_left(BUCKETS, seconds)] += 1
        times[-1] += seconds
        if self._folder is not None and self._saving is None:
            self._saving = asyncio.get_running_loop().call_later(_EVERY, self.save)

    def save(self) -> None:
        """Write the counts for the other workers."""
        self._saving = None
        if self._folder is None:
            return
        answered = [[*key, number] for key, number in self._answered.items()]
        self._folder.mkdir(exist_ok=True, mode=0o700)
        path = self._folder / f"{os.getpid()}.json"
        path.with_suffix(".new").write_text(json.dumps({"answered": answered, "times": self._times}))
        path.with_suffix(".new").rename(path)

    def collect(self) -> Iterable[Metric]:
        """Yield the families, with the counts of all workers."""
        answered, times = Counter(self._answered), {name: list(row) for name, row in self._times.items()}
        for other in self._others():
            answered.update({(row[0], row[1], row[2]): row[3] for row in other["answered"]})
            for name, row in other["times"].items():
                mine = times.setdefault(name, [0.0] * len(row))
                times[name] = [one + more for one, more in zip(mine, row, strict=True)]
        requests = CounterMetricFamily(
            "fhir_server_requests", "FHIR requests that were answered.", labels=["interaction", "type", "status"]
        )
        for key, number in sorted(answered.items()):
            requests.add_metric(list(key), number)
        yield requests
        yield _histogram(times)

    def _others(self) -> Iterable[Mapping[str, Any]]:
        if self._folder is None:
            return
        for path in self._folder.glob("*.json"):
            if path.stem != str(os.getpid()):
                yield json.loads(path.read_text())


def _histogram(times: Mapping[str, list[float]]) -> Metric:
    family = HistogramMetricFamily(
        "fhir_server_request_seconds", "Seconds until a FHIR request was answered.", labels=["interaction"]
    )
    for name, row in sorted(times.items()):
        total, buckets = 0.0, []
        for end, number in zip((*map(str, BUCKETS), "+Inf"), row, strict=False):
            total += number
            buckets.append((end, total))
        family.add_metric([name], buckets, sum_value=row[-1])
    return family
