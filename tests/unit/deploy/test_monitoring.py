"""What deploy/ alarms on and draws exists, and each alarm has its page."""

import json
import re
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from fhir_server.api.observed import metrics
from fhir_server.plugin_host.assembly import Assembly
from fhir_server.plugins import load_plugins
from fhir_server.settings import Settings
from fhir_server.telemetry.numbers import COUNTERS, GAUGES, HISTOGRAMS
from fhir_server.telemetry.sharing import Board
from scripts.generate_dashboard import TARGET, dashboard
from scripts.generate_metrics import PAGE, page

ROOT = Path(__file__).parents[3]
NAME = re.compile(r"fhir_server_[a-z_]+")
BY = re.compile(r"by \(([^)]+)\)")
WHERE = re.compile(r'(\w+)=~?"')


def rules() -> list[dict[str, Any]]:
    """Return the alerts."""
    groups = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def told() -> set[str]:
    """Return the names that /metrics tells."""
    text, _ = metrics(Assembly(load_plugins(Settings(demo=False))), Board())
    found: set[str] = set()
    for family in text_string_to_metric_families(text.decode()):
        endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        found |= {f"{family.name}{ending}" for ending in endings}
    return found


def test_alerts_and_panels_name_what_metrics_tells() -> None:
    asked = [rule["expr"] for rule in rules()]
    asked += [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]
    assert {name for text in asked for name in NAME.findall(text)} <= told()
    for text in asked:
        labels = {label for name in NAME.findall(text) for label in labels_of(name)}
        used = {each.strip() for group in BY.findall(text) for each in group.split(",")} | set(WHERE.findall(text))
        assert used <= labels | {"le", "instance", "job"}, text
        assert text.count("(") == text.count(")")
        assert ("_bucket" in text) == ("histogram_quantile" in text)


def labels_of(name: str) -> tuple[str, ...]:
    """Return the labels of a name that /metrics tells."""
    known = {each.name: each.labels for each in (*COUNTERS, *GAUGES, *HISTOGRAMS)}
    known["fhir_server_plugin_faults"] = ("plugin",)
    return known[re.sub("_(total|bucket|sum|count)$", "", name)]


def test_every_number_of_the_server_is_told_of() -> None:
    assert PAGE.read_text() == page(), "run python -m scripts.generate_metrics"


def test_each_alert_has_a_page_that_says_what_to_do() -> None:
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs/runbooks.md").read_text(), re.MULTILINE)
    assert [rule["alert"] for rule in rules()] == headings
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{rule['alert'].lower()}"


def test_the_dashboard_is_the_one_that_the_script_makes() -> None:
    assert json.loads(TARGET.read_text()) == dashboard()
