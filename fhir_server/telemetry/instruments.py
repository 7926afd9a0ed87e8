"""Counters, gauges and histograms of this process: cheap to write from any thread, added up over processes elsewhere.

Label values are words of the code (an interaction, a resource type, a kind of error), never what a client sent.
"""

from bisect import bisect_left
from collections.abc import Mapping
from contextlib import AbstractContextManager
from threading import Lock
from time import perf_counter
from types import TracebackType
from typing import Final, Literal

from fhir_server.telemetry import tracing

Labels = tuple[str, ...]
MOST: Final = 4_000
"""Sets of labels that one instrument has at the most; what comes beyond is counted under `other`."""

FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of buckets, in seconds."""

SLOW: Final = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0)
_turn = Lock()


class Instrument:
    """What all have: a name by Prometheus' conventions, one line of help, the names of its labels."""

    def __init__(self, name: str, help: str, *labels: str) -> None:
        self.name, self.help, self.labels = name, help, labels

    def _place(self, values: Mapping[Labels, object], labels: Labels) -> Labels:
        return labels if labels in values or len(values) < MOST else ("other",) * len(self.labels)


class Counter(Instrument):
    """A number that only grows; `_total` is added to its name where it is shown."""

    kind = "counter"

    def __init__(self, name: str, help: str, *labels: str) -> None:
        super().__init__(name, help, *labels)
        self.values: dict[Labels, float] = {}

    def add(self, *labels: str, by: float = 1) -> None:
        """Count."""
        with _turn:
            values = self.values
            if labels not in values:
                labels = self._place(values, labels)
                values.setdefault(labels, 0)
            values[labels] += by


class Gauge(Instrument):
    """A number that goes up and down. `across`: what several processes of a node come to together; `here`: what the one
    says that is asked, for all would say the same."""

    kind = "gauge"

    def __init__(
        self, name: str, help: str, *labels: str, across: Literal["sum", "max", "min", "here"] = "sum"
    ) -> None:
        super().__init__(name, help, *labels)
        self.across = across
        self.values: dict[Labels, float] = {}

    def set(self, value: float, *labels: str) -> None:
        """Say what it is now."""
        self.values[self._place(self.values, labels)] = value

    def put(self, values: Mapping[Labels, float]) -> None:
        """Say what it is now under all labels; those not named are gone."""
        self.values = dict(values)


class Histogram(Instrument):
    """How values are spread over buckets. A row is a count for each bucket, one for what is above them, the sum.

    `span`: what is timed is a span of this name in traces too.
    """

    kind = "histogram"

    def __init__(self, name: str, help: str, *labels: str, ends: tuple[float, ...] = FAST, span: str = "") -> None:
        super().__init__(name, help, *labels)
        self.ends, self.span = ends, span
        self.values: dict[Labels, list[float]] = {}

    def observe(self, value: float, *labels: str) -> None:
        """Take a value."""
        with _turn:
            row = self.values.get(labels)
            if row is None:
                labels = self._place(self.values, labels)
                row = self.values.setdefault(labels, [0.0] * (len(self.ends) + 2))
            row[bisect_left(self.ends, value)] += 1
            row[-1] += value

    def timed(self, *labels: str) -> "Timed":
        """Observe the seconds that the context takes, however it ends."""
        return Timed(self, labels)


class Timed:
    """A context that is timed."""

    __slots__ = ("_began", "_histogram", "_labels", "_span")

    def __init__(self, histogram: Histogram, labels: Labels) -> None:
        self._histogram, self._labels = histogram, labels
        self._span: AbstractContextManager[tracing.Span] | None = None

    def __enter__(self) -> None:
        if tracing.is_on() and self._histogram.span:
            notes = dict(zip(self._histogram.labels, self._labels, strict=True))
            self._span = tracing.span(self._histogram.span, notes=notes)
            self._span.__enter__()
        self._began = perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._histogram.observe(perf_counter() - self._began, *self._labels)
        if self._span is not None:
            self._span.__exit__(kind, error, trace)
