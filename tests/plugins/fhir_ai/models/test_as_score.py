"""A model asked for as a score is asked."""

from pathlib import Path
from typing import Any

import pytest
from fhir_ai.inputs import Finder, Record
from fhir_ai.models import MODELS, Model, score_of
from fhir_ai.operations.computing import Computed, Left, compute
from fhir_ai.scores.score import Implausible, Value, run
from fhir_ai.scores.vocabulary import VOCABULARY

from tests.plugins.fhir_ai.models.patients import ILL, ill

MODEL = MODELS["support2-30d"]
SCORE = score_of(MODEL, timeout=30)


def test_the_result_is_the_prediction_with_its_contributions() -> None:
    result = run(SCORE, ill(albumin=2.5))
    prediction = MODEL.predict(ill(albumin=2.5), timeout=30)
    assert (result.value, result.kind, result.link) == (prediction.probability, "probability", "logit")
    assert list(result.contributions) == list(prediction.contributions)
    assert "by a trained model" in result.meaning
    assert "urea" in result.meaning


def test_a_patient_outside_the_cohort_does_not_apply() -> None:
    assert "inpatient" in str(SCORE.applies({key: value for key, value in ILL.items() if key != "inpatient"}))
    with pytest.raises(ValueError, match="seriously ill adult inpatients"):
        run(SCORE, ill(age=20, disease_group="chf", inpatient=False))


def test_a_missing_input_is_named() -> None:
    with pytest.raises(Implausible) as refused:
        run(SCORE, {key: value for key, value in ILL.items() if key != "gcs"})
    assert refused.value.input == "gcs"


def test_a_model_that_cannot_answer_says_why(tmp_path: Path) -> None:
    away = score_of(Model(tmp_path, MODEL.manifest), timeout=30)
    with pytest.raises(ValueError, match="file of the model 'support2-30d' cannot be read"):
        run(away, ill())


def test_a_source_names_the_file_and_how_good_it_is() -> None:
    assert MODEL.manifest.sha256 in SCORE.source
    assert f"AUROC {MODEL.card()['auroc']['value']:.3f}" in SCORE.source
    assert "no published score" in SCORE.limits


def test_inputs_have_the_units_of_the_vocabulary() -> None:
    shared = [each for each in SCORE.inputs if each.name in VOCABULARY]
    assert len(shared) > 12
    assert [each.name for each in shared if each.unit != VOCABULARY[each.name].unit] == []


def _stated(name: str, value: Value) -> Value | dict[str, Any]:
    """A value as a caller states it: numbers as quantities in the unit of the card."""
    unit = next((each.unit for each in SCORE.inputs if each.name == name), "")
    if isinstance(value, str | bool) or not unit:
        return value
    return {"value": value, "system": "http://unitsofmeasure.org", "code": unit}


def test_risk_computes_a_model_from_a_record_as_it_computes_a_score() -> None:
    patient = {"resourceType": "Patient", "id": "p", "gender": "male", "birthDate": "1960-05-01"}
    record = Record(patient, 1_750_000_000_000, [], [], [], False)
    given = {name: _stated(name, value) for name, value in ILL.items() if name not in ("age", "sex")}
    done = compute(SCORE, Finder(record, given), second_hand=False)
    assert isinstance(done, Computed)
    assert done.result.value == MODEL.predict(ill(age=done.found["age"].value), timeout=30).probability
    left = compute(SCORE, Finder(record), second_hand=False)
    assert isinstance(left, Left)
    assert (left.code, "no inpatient encounter" in left.because) == ("not-applicable", True)
