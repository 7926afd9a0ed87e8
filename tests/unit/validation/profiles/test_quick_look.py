"""The quick look on plain JSON and the closer one in its place find the same."""

import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest

from fhir_server.validation.profiles.rule import Rule
from fhir_server.validation.profiles.spot import Spot
from fhir_server.validation.run import Run
from tests.unit.validation.profiles.builders import CORE, findings

Json = dict[str, Any]
JUNK: list[Any] = [None, 0, True, "", "x", [], {}, [None], [{}], {"coding": [1, None, {"code": 1}]}, {"reference": 1}]
CATEGORY = {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}
PRESSURE: Json = {
    "resourceType": "Observation", "status": "final", "category": [{"coding": [CATEGORY]}],
    "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]}, "subject": {"reference": "Patient/1"},
    "effectiveDateTime": "2020-01-02",
    "component": [
        {
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "valueQuantity": {"value": 1, "unit": "mm", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"},
        }
        for code in ("8480-6", "8462-4")
    ],
}  # fmt: skip


def _places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, below in members:
        yield (*above, step)
        yield from _places(below, (*above, step))


def _changed(chance: random.Random) -> Json:
    changed = deepcopy(PRESSURE)
    for _ in range(chance.randint(0, 3)):
        *above, last = chance.choice([place for place in _places(changed) if place != ("resourceType",)])
        owner: Any = changed
        for step in above:
            owner = owner[step]
        if chance.random() < 0.3:
            del owner[last]
        else:
            owner[f"_{last}" if isinstance(last, str) and chance.random() < 0.2 else last] = chance.choice(JUNK)
    return changed


def _always_closer(rule: Rule, spot: Spot, run: Run) -> None:
    rule.look(spot, run)


@pytest.mark.parametrize("profile", ["bp", "vitalsigns"])
@pytest.mark.parametrize("seed", range(25))
def test_both_find_the_same(profile: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    resource, definition = _changed(random.Random(seed)), {"url": CORE + profile}
    quick = findings(resource, definition)
    look: Callable[[Rule, Spot, Run], None] = _always_closer
    monkeypatch.setattr(Rule, "__call__", look)
    assert findings(resource, definition) == quick


def test_the_example_itself_is_good() -> None:
    assert [issue for issue in findings(PRESSURE, {"url": CORE + "bp"}) if issue.severity == "error"] == []
