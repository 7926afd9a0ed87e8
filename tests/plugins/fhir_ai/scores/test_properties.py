"""What holds of every score: contributions add up, limits are refused, risk moves the way the source says."""

import math
from typing import Any

import pytest
from fhir_ai.scores import SCORES
from fhir_ai.scores.score import Implausible, Input, Result, Score, run
from fhir_ai.scores.terms import CONSTANT, ROUNDING
from fhir_ai.scores.vocabulary import VOCABULARY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.plugins.fhir_ai.scores.patients import known

EVERY = pytest.mark.parametrize("score", SCORES.values(), ids=list(SCORES))
SOMEWHAT = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _value_of(wanted: Input) -> st.SearchStrategy[Any]:
    if wanted.kind == "boolean":
        return st.booleans()
    if wanted.kind == "code":
        return st.sampled_from(wanted.codes)
    low, high = (30, 79) if wanted.name == "age" else (wanted.low, wanted.high)  # most scores are of adults
    return st.floats(low, high, allow_nan=False)


def _values_of(score: Score) -> st.SearchStrategy[dict[str, Any]]:
    needed = {each.name: _value_of(each) for each in score.inputs if each.required or each.default is not None}
    extra = {each.name: _value_of(each) for each in score.inputs if each.name not in needed}
    return st.fixed_dictionaries(needed, optional=extra)


def _linked(result: Result) -> float:
    total = math.fsum(part.points for part in result.contributions)
    if result.link == "identity":
        return total
    if result.link == "log":
        return math.exp(total)
    if result.link == "logit":
        return 1 / (1 + math.exp(-total)) if total > -700 else 0.0
    return -math.expm1(-math.exp(min(total, 700)))


@EVERY
@SOMEWHAT
@given(data=st.data())
def test_contributions_add_up_to_the_result(score: Score, data: st.DataObject) -> None:
    values = data.draw(_values_of(score))
    try:
        result = score.compute(values)
    except Implausible:  # one of two inputs is needed, and neither was drawn
        return
    assert _linked(result) == pytest.approx(result.value, rel=1e-9, abs=1e-12)
    assert result.kind != "probability" or 0 <= result.value <= 1
    names = {each.name for each in score.inputs}
    assert {part.input for part in result.contributions} <= names | {CONSTANT, ROUNDING}
    assert all(
        part.value == values.get(part.input) or part.input in (CONSTANT, ROUNDING) or part.value is not None
        for part in result.contributions
    )


@EVERY
def test_score_cites_its_source_and_says_its_limits(score: Score) -> None:
    assert "https://" in score.source
    assert score.title
    assert score.limits
    assert score.outcome
    assert all(each == VOCABULARY[each.name] or each.unit == VOCABULARY[each.name].unit for each in score.inputs)


@EVERY
def test_function_of_score_documents_its_source(score: Score) -> None:
    function = getattr(score.compute, "func", score.compute)
    said = function.__doc__ or "Source"  # kidney failure: a closure over the documented equation
    assert "Source" in said


@EVERY
def test_input_outside_its_plausible_limits_is_refused(score: Score) -> None:
    values = _within(score)
    for each in score.inputs:
        if each.kind == "number":
            for wrong in (each.low - 1, each.high + 1, True, "80", math.nan):
                with pytest.raises(Implausible) as refused:
                    run(score, {**values, each.name: wrong})
                assert refused.value.input == each.name


@EVERY
def test_missing_input_is_named(score: Score) -> None:
    values = _within(score)
    for each in score.inputs:
        if each.required and each.default is None:
            with pytest.raises(Implausible, match="is missing") as refused:
                run(score, {name: value for name, value in values.items() if name != each.name})
            assert refused.value.input == each.name


def _within(score: Score) -> dict[str, Any]:
    settled = known(atrial_fibrillation=True, mild_liver_disease=True)
    values = {**settled, "pregnant": score.applies({**settled, "pregnant": True}) is None}
    values = {each.name: values[each.name] for each in score.inputs}
    assert score.applies(values) is None
    return values


@EVERY
def test_score_holds_for_an_ordinary_case_within_its_limits(score: Score) -> None:
    result = run(score, _within(score))
    assert math.isfinite(result.value)
    assert result.meaning


OUTSIDE = {
    "news2": [{"age": 15}, {"pregnant": True}],
    "framingham_2008": [{"age": 29}, {"age": 75}, {"cardiovascular_disease": True}],
    "pooled_cohort_2013": [{"age": 39}, {"age": 80}, {"total_cholesterol": 129}, {"systolic": 201}],
    "kfre4_2y": [{"egfr": 60}, {"dialysis": True}, {"age": 17}],
    "kfre8_5y": [{"egfr": 60}, {"dialysis": True}],
    "findrisc": [{"diabetes": True}, {"age": 17}],
    "diabetes_stage": [{"pregnant": True}, {"age": 12}],
    "mewc": [{"pregnant": False}],
    "cha2ds2_vasc": [{"atrial_fibrillation": False}, {"age": 17}],
    "has_bled": [{"atrial_fibrillation": False}, {"age": 17}],
    **{name: [{"mild_liver_disease": False}, {"age": 17}] for name in ("meld", "meld_na", "meld_3", "child_pugh")},
    "mewt": [{"pregnant": False}],
    "uspstf_aspirin": [{"pregnant": False}],
    "full_piers": [{"pregnant": False}],
    "mini_piers": [{"pregnant": False}],
    **{
        f"prevent_{outcome}_10y": [{"age": 29}, {"age": 80}, {"cardiovascular_disease": True}, {"egfr": 14}]
        for outcome in ("cvd", "ascvd", "hf", "chd", "stroke")
    },
    **{
        f"prevent_{outcome}_30y": [{"age": 60}, {"hdl_cholesterol": 101}]
        for outcome in ("cvd", "ascvd", "hf", "chd", "stroke")
    },
}


@EVERY
def test_score_refuses_who_is_outside_its_limits(score: Score) -> None:
    values = _within(score)
    for outside in OUTSIDE.get(score.name, [{"age": 17}]):
        with pytest.raises(ValueError, match="does not hold here"):
            run(score, {**values, **outside})


def test_age_counts_in_completed_years_and_the_reason_names_the_limit() -> None:
    prevent = SCORES["prevent_hf_30y"]
    assert prevent.applies(known(age=59.9)) is None
    assert prevent.applies(known(age=60)) == "age is 60; the source's is 30 to 59"
    assert prevent.applies(known(bmi=40)) == "bmi is 40; the source's is under 40"
    assert SCORES["kfre4_2y"].applies(known(egfr=60)) == "egfr is 60; the source's is under 60"


@pytest.mark.parametrize(
    ("name", "contradiction"),
    [
        ("framingham_2008", {"hdl_cholesterol": 210, "total_cholesterol": 200}),
        ("mewc", {"systolic": 80, "diastolic": 80}),
    ],
)
def test_values_that_contradict_each_other_are_refused(name: str, contradiction: dict[str, float]) -> None:
    with pytest.raises(Implausible, match="one of them is wrong"):
        run(SCORES[name], {**_within(SCORES[name]), **contradiction})


def test_only_scores_known_at_second_hand_are_off_by_default() -> None:
    assert {name for name, score in SCORES.items() if not score.enabled} == {"full_piers", "mini_piers"}


def test_scores_left_out_for_their_licences_are_not_here() -> None:
    forbidden = ("frax", "score2", "qrisk", "qdiabetes", "manchester")
    assert not [name for name in SCORES if any(word in name for word in forbidden)]


RISING = [
    ("news2", "respiratory_rate", (21, 25)),
    ("sofa", "creatinine", (1.0, 1.2, 2.0, 3.5, 5.0)),
    ("curb65", "age", (64, 65)),
    ("has_bled", "age", (65, 66)),
    ("meld", "bilirubin", (1, 2, 5, 12, 30)),
    ("meld_na", "inr", (1, 1.5, 2, 3)),
    ("meld_3", "creatinine", (1, 1.5, 2, 3)),
    ("fib4", "ast", (10, 50, 200)),
    ("fib4", "age", (30, 50, 80)),
    ("kfre4_5y", "uacr", (5, 30, 300, 3000)),
    ("kfre8_2y", "phosphate", (2.5, 4, 6)),
    ("framingham_2008", "total_cholesterol", (150, 200, 280)),
    ("framingham_2008", "age", (30, 50, 74)),
    ("pooled_cohort_2013", "systolic", (100, 130, 180)),
    ("grace", "killip", ("1", "2", "3", "4")),
    ("grace", "age", (25, 35, 55, 95)),
    ("prevent_cvd_10y", "systolic", (110, 140, 180)),
    ("prevent_ascvd_30y", "total_cholesterol", (150, 200, 300)),
    ("prevent_hf_10y", "bmi", (30, 35, 39)),
    ("prevent_cvd_10y", "uacr", (1, 30, 500)),
    ("prevent_cvd_10y", "hba1c", (5.0, 6.5, 9)),
    ("charlson_age", "age", (40, 50, 60, 80, 90)),
    ("lace", "stay", (0, 1, 2, 3, 4, 7, 14)),
    ("lace", "emergency_visits", (0, 1, 2, 3, 4)),
    ("findrisc", "bmi", (22, 27, 33)),
    ("diabetes_stage", "hba1c", (5.6, 6.0, 6.5)),
    ("mini_piers", "systolic", (140, 160, 200)),
    ("phq9", "phq9_9", (0, 1, 3)),
]
FALLING = [
    ("kfre4_2y", "egfr", (15, 30, 59)),
    ("ckd_epi_2021", "creatinine", (0.5, 0.9, 2, 5)),
    ("ckd_epi_2021", "age", (20, 50, 90)),
    ("framingham_2008", "hdl_cholesterol", (30, 50, 80)),
    ("pooled_cohort_2013", "hdl_cholesterol", (30, 50, 80)),
    ("meld_3", "albumin", (1.5, 2.5, 3.5)),
    ("meld_3", "sodium", (125, 130, 137)),
    ("fib4", "platelets", (50, 150, 300)),
    ("prevent_cvd_10y", "egfr", (20, 45, 60, 90)),
    ("prevent_ascvd_10y", "hdl_cholesterol", (30, 50, 80)),
    ("full_piers", "gestational_age", (24, 30, 38)),
    ("mini_piers", "gestational_age", (24, 30, 38)),
]


@pytest.mark.parametrize(("name", "wanted", "values"), RISING)
def test_risk_rises_with(name: str, wanted: str, values: tuple[Any, ...]) -> None:
    risks = [SCORES[name].compute(known(**{wanted: value})).value for value in values]
    assert risks == sorted(risks)
    assert risks[0] < risks[-1]


@pytest.mark.parametrize(("name", "wanted", "values"), FALLING)
def test_risk_falls_with(name: str, wanted: str, values: tuple[Any, ...]) -> None:
    risks = [SCORES[name].compute(known(**{wanted: value})).value for value in values]
    assert risks == sorted(risks, reverse=True)
    assert risks[0] > risks[-1]


YES_IS_WORSE = [
    (score.name, each.name)
    for score in SCORES.values()
    for each in score.inputs
    if each.kind == "boolean"
    and each.name
    not in {"pregnant", "cardiovascular_disease", "physically_active", "daily_vegetables", "alternative_to_dvt"}
    and each.name not in {"statin", "parous", "dialysis", "hyperglycaemia_symptoms", "preeclampsia"}
    and (score.name, each.name) != ("findrisc", "diabetes")
]


@pytest.mark.parametrize(("name", "finding"), YES_IS_WORSE)
def test_a_finding_never_lowers_the_risk(name: str, finding: str) -> None:
    without, with_it = (SCORES[name].compute(known(**{finding: answer})).value for answer in (False, True))
    assert with_it >= without


def test_dialysis_counts_as_the_highest_creatinine() -> None:
    for name in ("meld", "meld_na", "meld_3"):
        cap = 3 if name == "meld_3" else 4
        on_dialysis = SCORES[name].compute(known(dialysis=True, creatinine=1.0, bilirubin=3, inr=1.5))
        assert on_dialysis.value == SCORES[name].compute(known(creatinine=cap, bilirubin=3, inr=1.5)).value
