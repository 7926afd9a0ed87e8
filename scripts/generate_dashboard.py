"""Write deploy/grafana/dashboards/server.json: the panels that operators look at, from one table."""

import json
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "deploy/grafana/dashboards/server.json"
WIDTH, HEIGHT = 12, 8

_FEED = "max by (consumer) (fhir_server_feed_{})"


def _spread(of: str, metric: str, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({of}, sum by ({labels}) (rate(fhir_server_{metric}_bucket[5m])))"


def _rate(metric: str, by: str, where: str = "") -> str:
    return f"sum by ({by}) (rate(fhir_server_{metric}_total{where}[5m]))"


ROWS = {
    "Requests": (
        ("Interactions", "reqps", _rate("requests", "interaction"), "{{interaction}}"),
        ("Answers by status", "reqps", _rate("requests", "status"), "{{status}}"),
        ("Median time", "s", _spread("0.5", "request_seconds", "interaction"), "{{interaction}}"),
        ("99 of 100 are faster", "s", _spread("0.99", "request_seconds", "interaction"), "{{interaction}}"),
        ("Resource types", "reqps", f"topk(10, {_rate('requests', 'type')})", "{{type}}"),
        ("Share that fails", "percentunit",
         'sum(rate(fhir_server_requests_total{status=~"5.."}[5m])) / sum(rate(fhir_server_requests_total[5m]))', "5xx"),
        ("Slow requests", "reqps", _rate("slow_requests", "interaction"), "{{interaction}}"),
        ("Validation: 99 of 100 are faster", "s", f"topk(10, {_spread('0.99', 'validation_seconds', 'type')})",
         "{{type}}"),
    ),
    "Store": (
        ("Commits: 99 of 100 are faster", "s", _spread("0.99", "store_commit_seconds"), "until durable"),
        ("Waiting for the turn, 99 of 100", "s", _spread("0.99", "store_turn_seconds"), "turn"),
        ("Commits in a group", "short",
         "sum(rate(fhir_server_store_group_commits_sum[5m])) / sum(rate(fhir_server_store_group_commits_count[5m]))",
         "mean"),
        ("Writers that wait", "short", "sum by (instance) (fhir_server_store_waiting_writers)", "{{instance}}"),
        ("Reads", "ops", _rate("store_reads", "kind"), "{{kind}}"),
        ("Searches and histories: 99 of 100 are faster", "s", _spread("0.99", "store_read_seconds", "kind"),
         "{{kind}}"),
        ("Size", "bytes", "max by (part) (fhir_server_store_size_bytes)", "{{part}}"),
        ("Free on the disk", "bytes", "min by (instance) (fhir_server_store_free_bytes)", "{{instance}}"),
        ("Refusals and faults", "ops", _rate("store_errors", "kind"), "{{kind}}"),
        ("Checkpoints (SQLite)", "s", _spread("0.99", "store_checkpoint_seconds"), "99 of 100"),
        ("Breakers (2: open)", "short", "max by (instance, server) (fhir_server_breaker_state)",
         "{{server}} {{instance}}"),
        ("Connections to MongoDB", "short", "sum by (state) (fhir_server_mongodb_connections)", "{{state}}"),
        ("Searches that were cut off", "short", "sum(increase(fhir_server_search_cut_off_total[1h]))", "in an hour"),
        ("Search index: seconds behind", "s", "max(fhir_server_search_index_lag_seconds)", "lag"),
    ),
    "Feed, jobs, deliveries": (
        ("Feed: seconds behind", "s", _FEED.format("lag_seconds"), "{{consumer}}"),
        ("Feed: changes taken", "ops", _rate("feed_delivered_changes", "consumer"), "{{consumer}}"),
        ("Feed: changes that wait", "short", _FEED.format("waiting"), "{{consumer}}"),
        ("Feed: dead letters", "short", _FEED.format("dead_letters"), "{{consumer}}"),
        ("Sent to others", "ops", _rate("deliveries", "plugin, channel, outcome"),
         "{{plugin}} {{channel}} {{outcome}}"),
        ("Jobs", "short", "max by (state) (fhir_server_jobs)", "{{state}}"),
        ("The oldest job", "s", "max(fhir_server_jobs_oldest_seconds)", "age"),
        ("Jobs that ended", "short", "sum by (kind, state) (increase(fhir_server_jobs_ended_total[1h]))",
         "{{kind}} {{state}}"),
        ("Scheduled work", "short", "sum by (name, outcome) (increase(fhir_server_scheduled_runs_total[1h]))",
         "{{name}} {{outcome}}"),
        ("Faults of plugins", "short", "sum by (plugin) (increase(fhir_server_plugin_faults_total[1h]))", "{{plugin}}"),
    ),
    "Authority, audit, backups": (
        ("Rows of the audit", "ops", _rate("audit_rows", "way"), "{{way}}"),
        ("Rows that wait", "short", "sum by (instance) (fhir_server_audit_waiting_rows)", "{{instance}}"),
        ("Audit: failures", "short", "sum by (what) (increase(fhir_server_audit_failures_total[1h]))", "{{what}}"),
        ("Signed, seconds ago", "s", "time() - max(fhir_server_audit_signed_timestamp_seconds)", "signed"),
        ("Authorization server", "ops", _rate("auth_events", "what, outcome"), "{{what}} {{outcome}}"),
        ("Refused for want of authority", "ops", _rate("auth_refusals", "status"), "{{status}}"),
        ("Alarms", "short", "sum by (kind) (increase(fhir_server_alarms_total[1h]))", "{{kind}}"),
        ("Backups: seconds that the archive lacks", "s", "max(fhir_server_backup_archive_lag_seconds)", "lag"),
    ),
    "Processes": (
        ("Processes", "short", "sum by (instance, role) (fhir_server_processes)", "{{role}} {{instance}}"),
        ("Memory", "bytes", "sum by (instance, role) (fhir_server_process_resident_memory_bytes)",
         "{{role}} {{instance}}"),
        ("Processor", "short", "sum by (instance, role) (rate(fhir_server_process_cpu_seconds_total[5m]))",
         "{{role}} {{instance}}"),
        ("Open files", "short", "sum by (instance, role) (fhir_server_process_open_fds)", "{{role}} {{instance}}"),
        ("Lag of the event loop, 99 of 100", "s", _spread("0.99", "event_loop_lag_seconds", "role"), "{{role}}"),
        ("Garbage collector", "percentunit", "sum by (instance) (rate(fhir_server_gc_seconds_total[5m]))",
         "{{instance}}"),
    ),
}  # fmt: skip
"""By row: title, unit of Grafana, expression of Prometheus, legend."""


def row(number: int, title: str, y: int) -> dict[str, Any]:
    """Return the heading of a row."""
    return {
        "id": number,
        "type": "row",
        "title": title,
        "collapsed": False,
        "panels": [],
        "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
    }


def panel(number: int, place: tuple[int, int], each: tuple[str, str, str, str]) -> dict[str, Any]:
    """Return one panel at (x, y)."""
    title, unit, expression, legend = each
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "datasource": {"type": "prometheus", "uid": "prometheus"},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "gridPos": {"x": place[0], "y": place[1], "w": WIDTH, "h": HEIGHT},
        "targets": [{"refId": "A", "expr": expression, "legendFormat": legend}],
    }


def panels() -> list[dict[str, Any]]:
    """Return all rows and panels; two panels stand side by side."""
    found: list[dict[str, Any]] = []
    y = 0
    for title, rows in ROWS.items():
        found.append(row(len(found) + 1, title, y))
        for at, each in enumerate(rows):
            found.append(panel(len(found) + 1, (at % 2 * WIDTH, y + 1 + at // 2 * HEIGHT), each))
        y += 1 + (len(rows) + 1) // 2 * HEIGHT
    return found


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
        "panels": panels(),
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(dashboard(), indent=1) + "\n")
