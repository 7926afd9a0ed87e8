"""The demo patients."""

import json
from typing import Any

from fhir_server.serving.demo import demo_bundles


def _resources(patients: int) -> dict[str, dict[str, Any]]:
    entries = [entry for bundle in demo_bundles(patients) for entry in json.loads(bundle)["entry"]]
    assert all(entry["request"]["url"] == f"{_name(entry)}" for entry in entries)
    return {_name(entry): entry["resource"] for entry in entries}


def _name(entry: dict[str, Any]) -> str:
    return f"{entry['resource']['resourceType']}/{entry['resource']['id']}"


def test_they_are_the_same_each_time_so_that_loading_twice_changes_nothing() -> None:
    first = _resources(2)
    assert first == _resources(2)
    assert {"Patient/demo-1", "Patient/demo-2"} <= set(first)


def test_they_are_marked_as_made_up() -> None:
    assert "SYNTHETIC" in json.dumps(_resources(1)["Patient/demo-1"])
