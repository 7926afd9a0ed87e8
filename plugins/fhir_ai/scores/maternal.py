"""Pregnancy: Maternal Early Warning Criteria, MEWT, the USPSTF criteria for aspirin."""

import math

from fhir_ai.scores.score import Contribution, Result, Score, Values
from fhir_ai.scores.terms import Strata, checklist, number, points, when, yes
from fhir_ai.scores.vocabulary import ask, may


def pregnant_only(values: Values) -> str | None:
    """The refusal of the scores of pregnancy for who is not pregnant."""
    return None if yes(values, "pregnant") else "it is of pregnancy (or within 6 weeks of birth), and none is recorded"


_MEWC_STRATA: Strata = (
    (0, "none", "no criterion is met"),
    (math.inf, "trigger", "repeat the measurement; if confirmed, prompt bedside evaluation by a physician"),
)


def maternal_early_warning_criteria(values: Values) -> Result:
    """Maternal Early Warning Criteria: how many are met; one is enough.

    Inputs: systolic (under 90, over 160) and diastolic (over 100) mm[Hg], heart_rate (under 50, over 120) and
    respiratory_rate (under 10, over 30) /min, spo2 % on air at sea level (under 95), urine_hourly mL/h over 2 hours
    (under 35), agitation_or_confusion, and in pre-eclampsia non_remitting_headache or shortness_of_breath.
    Source: Mhyre JM et al. Obstet Gynecol 2014;124:782-786. https://doi.org/10.1097/AOG.0000000000000480
    """
    eclamptic = yes(values, "preeclampsia")
    parts = [
        _outside(values, "systolic", 90, 160),
        _outside(values, "diastolic", -math.inf, 100),
        _outside(values, "heart_rate", 50, 120),
        _outside(values, "respiratory_rate", 10, 30),
        _outside(values, "spo2", 95, math.inf),
        _outside(values, "urine_hourly", 35, math.inf),
        *checklist(values, {"agitation_or_confusion": 1}),
        _with(values, "non_remitting_headache", eclamptic),
        _with(values, "shortness_of_breath", eclamptic),
    ]
    return points(parts, _MEWC_STRATA)


def _outside(values: Values, name: str, low: float, high: float, weight: float = 1) -> Contribution:
    """Weight if a number that is there lies outside its limits."""
    if name not in values:
        return Contribution(name, None, 0, "not measured")
    value = number(values, name)
    if value < low:
        return Contribution(name, value, weight, f"under {low:g}")
    return Contribution(name, value, weight if value > high else 0, f"over {high:g}" if value > high else "")


def _with(values: Values, name: str, condition: bool) -> Contribution:
    return when(values, name, condition and yes(values, name), 1, "with pre-eclampsia")


MEWC = Score(
    name="mewc",
    title="Maternal Early Warning Criteria",
    inputs=(
        *ask("pregnant"),
        *ask("systolic diastolic heart_rate respiratory_rate spo2", within=4),
        *may("urine_hourly agitation_or_confusion non_remitting_headache shortness_of_breath", within=4),
        *may("preeclampsia", default=False),
    ),
    compute=maternal_early_warning_criteria,
    source="Mhyre JM et al. Obstet Gynecol 2014;124:782-786. https://doi.org/10.1097/AOG.0000000000000480",
    outcome="maternal deterioration",
    horizon=1,
    limits="pregnancy and the weeks after birth; saturation is on room air at sea level",
    applies=pregnant_only,
)

_MEWT_STRATA: Strata = (
    (1, "none", "no trigger: one abnormal value is not enough unless it is severe"),
    (math.inf, "trigger", "sustained for over 20 minutes: a severe trigger or two abnormal values; act on the pathway"),
)


def maternal_early_warning_trigger(values: Values) -> Result:
    """Maternal Early Warning Trigger tool: a severe value counts 2, another abnormal one 1; 2 is a trigger.

    The weights are ours and only say the tool's rule (one severe, or two others) as a sum. Severe: heart_rate over 130,
    respiratory_rate over 30, mean_arterial_pressure under 55, spo2 under 90, nurse_concern. Others: temperature over 38
    or under 36, pressure over 160/110 or under 85/45, heart_rate over 110 or under 50, respiratory_rate over 24 or
    under 10, spo2 under 93, fetal_heart_rate over 160, not alert, disproportionate_pain. Limits are of the abstract; an
    earlier form of the tool had others (over 155/105, under 80/45, breaths under 12). It must last 20 minutes.
    Source: Shields LE et al. Am J Obstet Gynecol 2016;214:527.e1-6. https://doi.org/10.1016/j.ajog.2016.01.154
    """
    parts = [
        _graded(values, "heart_rate", (50, 110), (-math.inf, 130)),
        _graded(values, "respiratory_rate", (10, 24), (-math.inf, 30)),
        _graded(values, "spo2", (93, math.inf), (90, math.inf)),
        _outside(values, "mean_arterial_pressure", 55, math.inf, 2),
        _outside(values, "temperature", 36, 38),
        *_pressure(values),
        _outside(values, "fetal_heart_rate", -math.inf, 160),
        when(values, "consciousness", values.get("consciousness", "alert") != "alert", 1, "not alert"),
        *checklist(values, {"disproportionate_pain": 1, "nurse_concern": 2}),
    ]
    return points(parts, _MEWT_STRATA)


def _graded(values: Values, name: str, normal: tuple[float, float], tolerable: tuple[float, float]) -> Contribution:
    severe = _outside(values, name, *tolerable, 2)
    return severe if severe.points else _outside(values, name, *normal)


def _pressure(values: Values) -> list[Contribution]:
    """Blood pressure is one sign: the diastolic counts where the systolic does not."""
    systolic, diastolic = _outside(values, "systolic", 85, 160), _outside(values, "diastolic", 45, 110)
    if systolic.points:
        diastolic = Contribution("diastolic", diastolic.value, 0)
    return [systolic, diastolic]


MEWT = Score(
    name="mewt",
    title="Maternal Early Warning Trigger",
    inputs=(
        *ask("pregnant"),
        *ask("heart_rate respiratory_rate spo2 temperature systolic diastolic", within=4),
        *may("mean_arterial_pressure fetal_heart_rate consciousness disproportionate_pain nurse_concern", within=4),
    ),
    compute=maternal_early_warning_trigger,
    source="Shields LE et al. Am J Obstet Gynecol 2016;214:527.e1-6. https://doi.org/10.1016/j.ajog.2016.01.154",
    outcome="maternal deterioration",
    horizon=1,
    limits="pregnancy and the weeks after birth; triggers must last over 20 minutes",
    applies=pregnant_only,
)

_HIGH = "preeclampsia_before multifetal chronic_hypertension pregestational_diabetes renal_disease autoimmune_disease"
_MODERATE = "nulliparous preeclampsia_in_family social_risk adverse_pregnancy_before in_vitro"
_ASPIRIN_STRATA: Strata = (
    (0, "not recommended", "no risk factor is recorded"),
    (1, "consider", "one moderate factor: low-dose aspirin may be considered"),
    (math.inf, "recommended", "low-dose aspirin (81 mg a day) after 12 weeks is recommended, unless contraindicated"),
)


def uspstf_aspirin(values: Values) -> Result:
    """USPSTF 2021 criteria for aspirin against pre-eclampsia: a high-risk factor counts 2, a moderate one 1; 2 is met.

    The weights are ours and only say the rule (one high, or two moderate) as a sum. Moderate besides the yes/no: bmi
    over 30 before pregnancy, age 35 or more. Race and income stand for racism and poverty in the source, not biology.
    Source: US Preventive Services Task Force. JAMA 2021;326:1186-1191. https://doi.org/10.1001/jama.2021.14781
    """
    parts = [
        *checklist(values, dict.fromkeys(_HIGH.split(), 2)),
        *checklist(values, dict.fromkeys(_MODERATE.split(), 1)),
        when(values, "age", number(values, "age") >= 35, 1, "35 or more"),
        when(values, "bmi", "bmi" in values and number(values, "bmi") > 30, 1, "over 30"),
    ]
    return points(parts, _ASPIRIN_STRATA)


USPSTF_ASPIRIN = Score(
    name="uspstf_aspirin",
    title="USPSTF criteria for aspirin against pre-eclampsia",
    inputs=(*ask(f"pregnant age {_HIGH} {_MODERATE}"), *may("bmi")),
    compute=uspstf_aspirin,
    source="US Preventive Services Task Force. JAMA 2021;326:1186-1191. https://doi.org/10.1001/jama.2021.14781",
    outcome="pre-eclampsia",
    limits="pregnancy, before pre-eclampsia",
    applies=pregnant_only,
)

MATERNAL: tuple[Score, ...] = (MEWC, MEWT, USPSTF_ASPIRIN)
