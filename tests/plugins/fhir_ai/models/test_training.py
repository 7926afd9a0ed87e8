"""Training on a few patients: the graph agrees with the fitted model, and what is written is what the server loads."""

import warnings
from pathlib import Path

import pytest

for package in ("SurvSet", "interpret", "ebm2onnx", "onnxruntime", "matplotlib"):
    pytest.importorskip(package, reason="training needs fhir-server[training]")

# ruff: noqa: E402 - what needs the packages comes after the question whether they are there
import numpy
from fhir_ai.models import Prediction, models_in

from scripts.training import __main__ as run
from scripts.training import support2
from scripts.training.card import card, thresholds
from scripts.training.gate import admit
from scripts.training.train import fit, split
from tests.plugins.fhir_ai.models.patients import ill

ROWS = 300


@pytest.fixture(scope="module")
def few() -> support2.Patients:
    whole, left_out = support2.read()
    assert (len(whole.died), left_out) == (9103, 2)
    return support2.Patients(
        features={name: column[::30][:ROWS] for name, column in whole.features.items()},
        died=whole.died[::30][:ROWS],
        ids=whole.ids[::30][:ROWS],
        published={name: column[::30][:ROWS] for name, column in whole.published.items()},
        groups={name: column[::30][:ROWS] for name, column in whole.groups.items()},
    )


def test_the_real_patients_pass_the_gate() -> None:
    whole, _ = support2.read()
    measured = admit(whole.features, whole.died, whole.ids, split(len(whole.died), 1995))
    assert measured["duplicate_share"] == 0
    assert whole.died.mean() == pytest.approx(0.271, abs=0.001)


def test_the_parts_hold_every_patient_once() -> None:
    parts = split(ROWS, 3)
    assert sorted(numpy.concatenate(list(parts.values())).tolist()) == list(range(ROWS))
    assert {name: len(rows) for name, rows in parts.items()} == {"train": 180, "tuning": 30, "test": 90}


def test_a_model_of_300_patients_is_written_with_its_card_and_loaded(few: support2.Patients, tmp_path: Path) -> None:
    parts = split(ROWS, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # interpret says that its plots do not show missing values
        trained = fit(few.matrix(), few.died, parts["train"], 3)
    assert trained.parity < 1e-5
    manifest = run.manifest_of(trained, *thresholds(few, trained, parts["tuning"]))
    said = card(manifest, few, trained, parts, 3)
    said["gate"] = {**admit(few.features, few.died, few.ids, parts), "left_out": 0}
    run.write(tmp_path / "support2", tmp_path / "docs", trained, manifest, said)
    run.draw(tmp_path / "docs", few, trained, parts["test"], said)
    prediction = models_in(tmp_path)["support2-30d"].attempt(ill(), timeout=30)
    assert isinstance(prediction, Prediction)
    assert 0 < prediction.probability < 1
    assert {each.name for each in (tmp_path / "docs").iterdir()} == {
        "support2.md",
        "support2-roc.png",
        "support2-calibration.png",
    }
