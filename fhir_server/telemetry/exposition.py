"""Numbers as Prometheus reads them, in its text format or as OpenMetrics.

Spec: https://prometheus.io/docs/instrumenting/exposition_formats/, https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from fhir_server.telemetry.instruments import Histogram
from fhir_server.telemetry.numbers import COUNTERS, GAUGES, HISTOGRAMS
from fhir_server.telemetry.sharing import Numbers, labels_of


class Families(Collector):
    """The families of all instruments of the server."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers

    def collect(self) -> Iterable[Metric]:
        """Yield all families, those without a value too: each has its HELP."""
        for counter in COUNTERS:
            family: Metric = CounterMetricFamily(counter.name, counter.help, labels=counter.labels)
            yield _filled(family, self._numbers.counters.get(counter.name, {}))
        for gauge in GAUGES:
            family = GaugeMetricFamily(gauge.name, gauge.help, labels=gauge.labels)
            yield _filled(family, self._numbers.gauges.get(gauge.name, {}))
        for histogram in HISTOGRAMS:
            yield _spread(histogram, self._numbers.histograms.get(histogram.name, {}))


def _filled(family: Metric, values: Mapping[str, float]) -> Metric:
    for key, value in sorted(values.items()):
        family.add_metric(labels_of(key) if key else [], value)  # type: ignore[attr-defined]
    return family


def _spread(histogram: Histogram, rows: Mapping[str, list[float]]) -> Metric:
    family = HistogramMetricFamily(histogram.name, histogram.help, labels=histogram.labels)
    for key, row in sorted(rows.items()):
        total, buckets = 0.0, []
        for end, number in zip((*map(str, histogram.ends), "+Inf"), row, strict=False):
            total += number
            buckets.append((end, total))
        family.add_metric(labels_of(key) if key else [], buckets, sum_value=row[-1])
    return family
