"""Write deploy/grafana/dashboards/server.json: the panels that operators look at, from one table."""

import json
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "deploy/grafana/dashboards/server.json"
WIDTH, HEIGHT = 12, 8

_FEED = "max by (consumer) (fhir_server_feed_{})"
_EACH = "{{consumer}}"
_QUANTILE = "histogram_quantile({}, sum by (le, interaction) (rate(fhir_server_request_seconds_bucket[5m])))"

PANELS = (
    ("Interactions", "reqps", "sum by (interaction) (rate(fhir_server_requests_total[5m]))", "{{interaction}}"),
    ("Answers by status", "reqps", "sum by (status) (rate(fhir_server_requests_total[5m]))", "{{status}}"),
    ("Median time", "s", _QUANTILE.format(0.5), "{{interaction}}"),
    ("99 of 100 are faster", "s", _QUANTILE.format(0.99), "{{interaction}}"),
    ("Resource types", "reqps", "topk(10, sum by (type) (rate(fhir_server_requests_total[5m])))", "{{type}}"),
    ("Share that fails", "percentunit",
     'sum(rate(fhir_server_requests_total{status=~"5.."}[5m])) / sum(rate(fhir_server_requests_total[5m]))', "5xx"),
    ("Feed: seconds behind", "s", _FEED.format("lag_seconds"), _EACH),
    ("Feed: dead letters", "short", _FEED.format("dead_letters"), _EACH),
    ("Faults of plugins", "short", "sum by (plugin) (increase(fhir_server_plugin_faults_total[1h]))", "{{plugin}}"),
    ("Feed: changes that wait", "short", _FEED.format("waiting"), _EACH),
)  # fmt: skip
"""Title, unit of Grafana, expression of Prometheus, legend."""


def panel(number: int, title: str, unit: str, expression: str, legend: str) -> dict[str, Any]:
    """Return one panel; two stand side by side."""
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "datasource": {"type": "prometheus", "uid": "prometheus"},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "gridPos": {"x": number % 2 * WIDTH, "y": number // 2 * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "targets": [{"refId": "A", "expr": expression, "legendFormat": legend}],
    }


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana reads it."""
    return {
        "uid": "fhir-server",
        "title": "FHIR server",
        "tags": ["fhir"],
        "timezone": "browser",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "panels": [panel(number, *each) for number, each in enumerate(PANELS)],
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(dashboard(), indent=1) + "\n")
