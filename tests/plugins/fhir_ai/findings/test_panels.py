"""The isolation forest of the thyroid panel: what it flags, and what happens when its file is at fault."""

import json
import shutil
from pathlib import Path

import pytest
from fhir_ai.findings.lab.analytes import table
from fhir_ai.findings.lab.laboratory import Person, judge, sorted_readings
from fhir_ai.findings.lab.panels import Panel, panels
from fhir_ai.models.errors import ModelUnavailable
from fhir_ai.settings import AiSettings

from tests.plugins.fhir_ai.patients import born, measured

USUAL = {"tsh": 1.6, "t3": 1.9, "t4": 105.0}
HYPOTHYROID = {"tsh": 90.0, "t3": 0.5, "t4": 12.0}
PAGE = Path(__file__).parents[4] / "docs" / "ai" / "models" / "thyroid-forest.md"
CODES = {"tsh": ("3016-3", "m[IU]/L"), "t3": ("14930-2", "nmol/L"), "t4": ("14921-1", "nmol/L")}


@pytest.fixture
def panel() -> Panel:
    return next(each for each in panels() if each.name == "thyroid-forest")


def test_unusual_results_together_are_flagged_and_usual_ones_are_not(panel: Panel) -> None:
    assert not panel.score(USUAL).flagged
    assert panel.score(HYPOTHYROID).flagged
    assert panel.score(HYPOTHYROID).score > panel.score(USUAL).score


def report(values: dict[str, float], years: float = 50, **settings: bool) -> tuple[set[str], list[str]]:
    observations = [measured("Patient/1", *_coded(name, value)) for name, value in values.items()]
    readings = {each.name: sorted_readings(observations, each) for each in table().analytes if each.name in values}
    newest = {name: found[0] for name, found in readings.items()}
    said = judge(newest["tsh"], Person(born(years), "female"), (), newest, AiSettings(**settings))
    return {each.check for each in said.findings}, [why for check, why in said.unchecked if check == "panel"]


def _coded(name: str, value: float) -> tuple[str, float, str]:
    code, unit = CODES[name]
    return code, value, unit


def test_the_panel_speaks_only_with_all_its_results_of_adults_and_switched_on() -> None:
    assert "panel" in report(HYPOTHYROID)[0]
    assert report({"tsh": 90.0})[1] == ["Thyroid panel: t3, t4 of the same day is missing"]
    assert report(HYPOTHYROID, years=9)[1] == ["Thyroid panel: it was trained on people from 18 years on"]
    assert report(HYPOTHYROID, models=False)[1] == ["Thyroid panel: learned models are switched off"]


@pytest.mark.parametrize("fault", ["missing", "changed", "no-manifest"])
def test_a_file_at_fault_is_unavailable_and_says_why(panel: Panel, tmp_path: Path, fault: str) -> None:
    folder = tmp_path / "thyroid-forest"
    shutil.copytree(panel.folder, folder)
    if fault == "no-manifest":
        (folder / "manifest.json").write_text("{")
        assert panels(tmp_path) == ()
        return
    graph = folder / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"x") if fault == "changed" else graph.unlink()
    with pytest.raises(ModelUnavailable, match="SHA-256" if fault == "changed" else "cannot be read"):
        Panel(folder).score(USUAL)


def test_bytes_that_are_no_graph_are_refused_by_the_runtime(panel: Panel, tmp_path: Path) -> None:
    import hashlib

    folder = tmp_path / "thyroid-forest"
    shutil.copytree(panel.folder, folder)
    (folder / "model.onnx").write_bytes(b"no graph")
    said = json.loads((folder / "manifest.json").read_text())
    said["sha256"] = hashlib.sha256(b"no graph").hexdigest()
    (folder / "manifest.json").write_text(json.dumps(said))
    with pytest.raises(ModelUnavailable, match="onnxruntime refuses"):
        Panel(folder).score(USUAL)


def test_the_page_has_the_figures_of_the_card(panel: Panel) -> None:
    card = json.loads((panel.folder / "card.json").read_text())
    page = PAGE.read_text(encoding="utf-8")
    assert card["sha256"] in page
    assert f"{card['auroc']['value']:.3f} (" in page
