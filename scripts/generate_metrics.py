"""Write docs/metrics.md from the catalogue of numbers: python -m scripts.generate_metrics."""

from pathlib import Path

from fhir_server.telemetry.instruments import Counter, Instrument
from fhir_server.telemetry.numbers import COUNTERS, GAUGES, HISTOGRAMS

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
_HEAD = """# Metrics

`GET /metrics` tells them in Prometheus' text format, or as OpenMetrics to who asks for it by `Accept`; the setting
`metrics` says to whom. One answer has the numbers of all processes of a node. Over nodes Prometheus adds up (`sum`),
but of gauges that lie in the record (`feed_*`, `jobs*`, `store_size_bytes`) all nodes say the same (`max`). No label
names a tenant, a patient, a user or an app. Plugins add numbers of their own, called after them. This page is made from
the code by `scripts/generate_metrics.py`, and a test holds it to it.

| name | kind | labels | meaning |
|---|---|---|---|
"""


def page() -> str:
    """Return the page as it should be."""
    each = sorted((*COUNTERS, *GAUGES, *HISTOGRAMS), key=lambda one: one.name)
    return _HEAD + "".join(map(_line, each))


def _line(each: Instrument) -> str:
    name = f"{each.name}_total" if isinstance(each, Counter) else each.name
    labels = ", ".join(f"`{label}`" for label in each.labels)
    return f"| `{name}` | {type(each).__name__.lower()} | {labels} | {each.help} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
