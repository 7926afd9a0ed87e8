"""The shipped model, as its user calls it: predictions, what they are made of, and for whom there are none."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from fhir_ai import models
from fhir_ai.models import MODELS, MissingInput, NotComputed, OutsideCohort, Prediction

from tests.plugins.fhir_ai.models.patients import ILL, ill

MODEL = MODELS["support2-30d"]
FOLDER = Path(models.__file__).parent / "support2"
ROOT = Path(__file__).resolve().parents[4]


def predicted(**changes: Any) -> Prediction:
    return MODEL.predict(ill(**changes), timeout=30)


def test_contributions_and_the_constant_sum_to_the_logit_of_the_probability() -> None:
    prediction = predicted(albumin=2.1, urea=18.0, arterial_ph=7.28, cancer="metastatic")
    logit = sum(each.points for each in prediction.contributions)
    assert 1 / (1 + math.exp(-logit)) == pytest.approx(prediction.probability, abs=1e-5)
    assert [each.input for each in prediction.contributions][:3] == ["(constant)", "age", "sex"]


def test_a_prediction_names_its_version_its_file_and_its_horizon() -> None:
    prediction = predicted()
    assert (prediction.model, prediction.version, prediction.horizon) == ("support2-30d", "1.1.0", 30)
    assert prediction.sha256 == hashlib.sha256((FOLDER / "model.onnx").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "worse",
    [
        {"gcs": 3},
        {"age": 88},
        {"creatinine": 4.0},
        {"mean_arterial_pressure": 45},
        {"disease_group": "mosf-malignancy"},
    ],
)
def test_a_patient_who_is_worse_in_one_thing_has_a_higher_probability(worse: dict[str, Any]) -> None:
    assert predicted(**worse).probability > predicted().probability


def test_the_same_values_give_the_same_prediction() -> None:
    assert predicted(urea=9.5) == predicted(urea=9.5)


def test_missing_optional_inputs_are_named() -> None:
    prediction = predicted(albumin=3.0)
    assert "albumin" not in prediction.missing
    assert {"urea", "arterial_ph", "urine_24h", "cancer"} <= set(prediction.missing)


def test_inputs_that_were_never_missing_in_training_add_nothing_when_missing() -> None:
    terms = {each.input: each.points for each in predicted().contributions}
    for name in ("hospital_day", "comorbidities", "cancer", "diabetes", "dementia"):
        assert terms[name] == pytest.approx(0, abs=1e-6)


def test_who_is_near_the_middle_keeps_both_outcomes_possible() -> None:
    uncertain = predicted(gcs=3, age=80)
    assert uncertain.flagged
    assert set(uncertain.possible) <= {"survives", "dies"}
    sure = predicted(disease_group="chf", age=40, albumin=4.0, urea=4.0)
    assert sure.possible == ("survives",)
    assert not sure.flagged


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"inpatient": False}, "inpatient"),
        ({"inpatient": "true"}, "inpatient"),
        ({"age": 17.9}, "age"),
        ({"age": 110}, "age"),
        ({"disease_group": "fracture"}, "disease_group"),
        ({"disease_group": 3}, "disease_group"),
    ],
)
def test_a_patient_outside_the_cohort_is_not_computed(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(OutsideCohort, match="seriously ill adult inpatients") as refused:
        predicted(**changes)
    assert refused.value.input == named


@pytest.mark.parametrize("name", ["inpatient", "disease_group"])
def test_a_patient_of_whom_the_cohort_is_not_known_is_not_computed(name: str) -> None:
    with pytest.raises(OutsideCohort):
        MODEL.predict({key: value for key, value in ILL.items() if key != name})


@pytest.mark.parametrize("name", [key for key in ILL if key not in ("inpatient", "disease_group")])
def test_a_missing_required_input_is_named(name: str) -> None:
    with pytest.raises(MissingInput) as refused:
        MODEL.predict({key: value for key, value in ILL.items() if key != name})
    assert refused.value.input == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("creatinine", 80),
        ("temperature", 98.6),
        ("heart_rate", math.nan),
        ("sodium", math.inf),
        ("wbc", "many"),
        ("heart_rate", True),
        ("gcs", 14.5),
        ("sex", "unknown"),
        ("diabetes", "perhaps"),
        ("urea", [7]),
        ("cancer", None),
    ],
)
def test_nonsense_is_refused_by_name_and_never_clamped(name: str, value: Any) -> None:
    answer = MODEL.attempt(ill(**{name: value}), timeout=30)
    if value is None:
        assert isinstance(answer, Prediction)
    else:
        assert isinstance(answer, NotComputed)
        assert (answer.kind, answer.input) == ("input", name)


def test_the_card_is_of_the_file_that_is_shipped() -> None:
    card = MODEL.card()
    assert card["sha256"] == MODEL.manifest.sha256
    assert card["version"] == MODEL.manifest.version
    assert card["threshold"]["threshold"] == MODEL.manifest.threshold


def test_the_card_says_that_the_published_score_is_better() -> None:
    card = MODEL.card()
    surv2m = next(each for each in card["comparison"] if each["name"] == "surv2m")
    assert surv2m["auroc"]["value"] > card["auroc"]["value"]
    page = (ROOT / "docs/ai/models/support2.md").read_text(encoding="utf-8")
    assert "The published score is better than this model." in page


def test_the_page_has_the_figures_of_the_card() -> None:
    card = json.loads((FOLDER / "card.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs/ai/models/support2.md").read_text(encoding="utf-8")
    for said in (f"{card['auroc']['value']:.3f}", f"{card['auprc']:.3f}", card["sha256"], *card["limits"]):
        assert said in page
    for plot in ("support2-roc.png", "support2-calibration.png"):
        assert (ROOT / "docs/ai/models" / plot).read_bytes().startswith(b"\x89PNG")
