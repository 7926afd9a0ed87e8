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
from fhir_server.telemetry.sharing import Board
from scripts.generate_dashboard import TARGET, dashboard

ROOT = Path(__file__).parents[3]
NAME = re.compile(r"fhir_server_[a-z_]+")


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
    asked += [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    assert {name for text in asked for name in NAME.findall(text)} <= told()


def test_each_alert_has_a_page_that_says_what_to_do() -> None:
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs/runbooks.md").read_text(), re.MULTILINE)
    assert [rule["alert"] for rule in rules()] == headings
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{rule['alert'].lower()}"


def test_the_dashboard_is_the_one_that_the_script_makes() -> None:
    assert json.loads(TARGET.read_text()) == dashboard()
