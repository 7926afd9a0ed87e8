"""The monitor on the UCI heart data: a model of Cleveland is stopped at each of three other hospitals, not at home."""

import json
from pathlib import Path
from typing import Any

import pytest
from fhir_ai.models import Model
from fhir_ai.models.manifest import parse_manifest
from fhir_ai.models.package import Package
from fhir_ai.monitoring.report import Report, report_of
from fhir_ai.monitoring.statistics import auroc, counted, quantile, tenths
from fhir_ai.settings import AiSettings

from tests.plugins.fhir_ai.monitoring.said import NOW, said
from tests.plugins.fhir_ai.registry.models import manifest

HEART = json.loads((Path(__file__).parent / "heart.json").read_text(encoding="utf-8"))["sites"]
NAMES = tuple(HEART["Cleveland"]["columns"])
SETTINGS = AiSettings(monitor_least=100)


def spread(values: list[float], missing: float) -> dict[str, Any]:
    edges = tenths(values)
    shares = [each / len(values) for each in counted(values, edges)]
    points = [quantile(values, at / 200) for at in range(201)]
    return {"edges": edges, "shares": shares, "n": len(values), "missing": missing, "quantiles": points}


def model() -> Model:
    """Return the model that the card of Cleveland is of; it is never asked."""
    home = HEART["Cleveland"]
    features = {name: spread(home["columns"][name], home["missing"][name]) for name in NAMES}
    area = auroc([y for _, y in home["said"]], [p for p, _ in home["said"]])
    text = json.dumps(manifest(b"", name="heart", label="death"))
    card = json.dumps({"auroc": {"value": area}, "reference": {"features": features}})
    return Model(Package(parse_manifest(text, "heart"), text, card, None, lambda: b""))


def report(site: str) -> Report:
    """Return the report of a hospital; its columns are sorted each by itself, which no figure of theirs minds."""
    found, rows = HEART[site], []
    for at, (probability, outcome) in enumerate(found["said"]):
        values = {name: next(iter(found["columns"][name][at : at + 1]), None) for name in NAMES}
        rows.append(said(str(at), values=values, probability=probability, flagged=probability > 0.5, outcome=outcome)())
    return report_of(model(), rows, SETTINGS, (0, NOW))


def test_at_home_no_bound_is_broken() -> None:
    found = report("Cleveland")
    assert [each.said for each in found.broken] == []
    assert found.outcomes is not None
    assert found.outcomes.auroc is not None
    assert found.outcomes.auroc[0] == pytest.approx(0.761, abs=0.002)


@pytest.mark.parametrize(
    ("site", "shifted"),
    [
        ("VA Long Beach", "thalch shifted: PSI 1.4"),
        ("Switzerland", "thalch shifted"),
        ("Hungary", "age shifted: PSI 0.87"),
    ],
)
def test_elsewhere_the_model_is_stopped_and_it_is_said_why(site: str, shifted: str) -> None:
    broken = report(site).broken
    assert any(shifted in each.said for each in broken)
    assert {"monitor_psi"} <= {each.name for each in broken}


def test_where_many_more_were_ill_the_calibration_is_off_too() -> None:
    assert "monitor_calibration" in {each.name for each in report("Switzerland").broken}
