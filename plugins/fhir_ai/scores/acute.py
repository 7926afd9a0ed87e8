"""Acute illness: NEWS2, qSOFA, SIRS, CURB-65."""

import math

from fhir_ai.scores.score import Contribution, Implausible, Result, Score, Values
from fhir_ai.scores.terms import Strata, at_most, below, number, points, rounded, when, within, yes
from fhir_ai.scores.vocabulary import ask, may

_INFINITE = math.inf
_NOT_IN_PREGNANCY = {"pregnant": "the source excludes pregnancy"}

_NEWS2_STRATA: Strata = (
    (4, "low", "ward-based response; monitoring at least every 4 to 12 hours"),
    (6, "medium", "key threshold for an urgent response by a clinician able to assess acute illness"),
    (_INFINITE, "high", "emergency response by a team with critical-care competencies"),
)
_NEWS2_SINGLE = ("low-medium", "one parameter scores 3: urgent review by the ward's clinician to decide on escalation")


def news2(values: Values) -> Result:
    """National Early Warning Score 2: the sum of seven parameters, 0 to 20.

    Inputs: respiratory_rate /min, spo2 % on scale 1 or 2, on_oxygen, systolic mm[Hg], heart_rate /min, consciousness
    (ACVPU), temperature Cel. Values are taken at the precision of the chart: whole numbers, temperature to 0.1.
    Source: Royal College of Physicians. National Early Warning Score (NEWS) 2. London: RCP, 2017.
    https://www.rcp.ac.uk/resources/national-early-warning-score-news-2/
    """
    for name in ("respiratory_rate", "spo2", "systolic", "heart_rate"):
        values = rounded(values, name)
    values = rounded(values, "temperature", 1)
    parts = [
        at_most(values, "respiratory_rate", ((8, 3), (11, 1), (20, 0), (24, 2)), 3),
        _saturation(values),
        when(values, "on_oxygen", yes(values, "on_oxygen"), 2, "supplemental oxygen"),
        at_most(values, "systolic", ((90, 3), (100, 2), (110, 1), (219, 0)), 3),
        at_most(values, "heart_rate", ((40, 3), (50, 1), (90, 0), (110, 1), (130, 2)), 3),
        when(values, "consciousness", values["consciousness"] != "alert", 3, "not alert"),
        at_most(values, "temperature", ((35.0, 3), (36.0, 1), (38.0, 0), (39.0, 1)), 2),
    ]
    result = points(parts, _NEWS2_STRATA)
    if result.value <= 4 and any(part.points == 3 for part in parts):
        return Result(result.value, "points", *_NEWS2_SINGLE, result.contributions)
    return result


def _saturation(values: Values) -> Contribution:
    """Scale 2 is for hypercapnic respiratory failure with a recorded target of 88-92%; on air, 93 and more is 0."""
    if values.get("spo2_scale", "1") == "1":
        return at_most(values, "spo2", ((91, 3), (93, 2), (95, 1)), 0)
    low = ((83, 3), (85, 2), (87, 1), (92, 0))
    if not yes(values, "on_oxygen"):
        return at_most(values, "spo2", low, 0)
    return at_most(values, "spo2", (*low, (94, 1), (96, 2)), 3)


NEWS2 = Score(
    name="news2",
    title="NEWS2",
    inputs=(
        *ask("age"),
        *ask("respiratory_rate spo2 on_oxygen systolic heart_rate consciousness temperature", within=12),
        *may("spo2_scale", default="1"),
        *may("pregnant", default=False),
    ),
    compute=news2,
    source="Royal College of Physicians. National Early Warning Score (NEWS) 2. London: RCP, 2017. "
    "https://www.rcp.ac.uk/resources/national-early-warning-score-news-2/",
    outcome="acute deterioration",
    horizon=1,
    limits="16 years and over, not in pregnancy; scale 2 only with a recorded target of 88-92%",
    applies=within(("age", 16, _INFINITE), unless=_NOT_IN_PREGNANCY),
)

_QSOFA_STRATA: Strata = (
    (1, "negative", "does not exclude sepsis"),
    (3, "positive", "with suspected infection, greater risk of a poor outcome: look for organ dysfunction"),
)


def altered_mentation(values: Values) -> tuple[bool, str]:
    """Whether mentation is altered, and by which input: a Glasgow coma scale under 15, else not alert."""
    if "gcs" in values:
        return number(values, "gcs") < 15, "gcs"
    if "consciousness" in values:
        return values["consciousness"] != "alert", "consciousness"
    raise Implausible("gcs", "Glasgow coma scale is missing, and so is consciousness (ACVPU)")


def qsofa(values: Values) -> Result:
    """Quick SOFA, 0 to 3: respiratory rate 22 or more, systolic 100 or less, altered mentation.

    Inputs: respiratory_rate /min, systolic mm[Hg], gcs 3 to 15 or consciousness (ACVPU).
    Source: Seymour CW et al. Assessment of Clinical Criteria for Sepsis. JAMA 2016;315:762-774.
    https://doi.org/10.1001/jama.2016.0288
    """
    altered, by = altered_mentation(values)
    parts = [
        below(values, "respiratory_rate", ((22, 0),), 1),
        at_most(values, "systolic", ((100, 1),), 0),
        when(values, by, altered, 1, "altered mentation"),
    ]
    return points(parts, _QSOFA_STRATA)


QSOFA = Score(
    name="qsofa",
    title="qSOFA",
    inputs=(*ask("age respiratory_rate systolic", within=24), *may("gcs consciousness", within=24)),
    compute=qsofa,
    source="Seymour CW et al. JAMA 2016;315:762-774. https://doi.org/10.1001/jama.2016.0288",
    outcome="poor outcome of suspected infection",
    limits="adults with suspected infection outside intensive care",
    applies=within(("age", 18, _INFINITE)),
)

_SIRS_STRATA: Strata = (
    (1, "negative", "fewer than two criteria"),
    (4, "positive", "systemic inflammatory response: two or more criteria"),
)


def sirs(values: Values) -> Result:
    """Systemic inflammatory response syndrome, 0 to 4 criteria.

    Inputs: temperature Cel (over 38 or under 36), heart_rate /min (over 90), respiratory_rate /min (over 20) or paco2
    mm[Hg] (under 32), wbc 10*3/uL (over 12 or under 4) or bands % (over 10).
    Source: Bone RC et al. Definitions for sepsis and organ failure. Chest 1992;101:1644-1655.
    https://doi.org/10.1378/chest.101.6.1644
    """
    temperature, cells = number(values, "temperature"), number(values, "wbc")
    breathing = number(values, "respiratory_rate") > 20
    hyperventilating = "paco2" in values and number(values, "paco2") < 32
    immature = "bands" in values and number(values, "bands") > 10
    outside = cells > 12 or cells < 4
    parts = [
        when(values, "temperature", temperature > 38 or temperature < 36, 1, "over 38 or under 36"),
        when(values, "heart_rate", number(values, "heart_rate") > 90, 1, "over 90"),
        when(values, "respiratory_rate", breathing, 1, "over 20"),
        when(values, "paco2", hyperventilating and not breathing, 1, "under 32"),
        when(values, "wbc", outside, 1, "over 12 or under 4"),
        when(values, "bands", immature and not outside, 1, "over 10"),
    ]
    return points(parts, _SIRS_STRATA)


SIRS = Score(
    name="sirs",
    title="SIRS criteria",
    inputs=(
        *ask("age temperature heart_rate respiratory_rate wbc", within=24),
        *may("paco2 bands", within=24),
    ),
    compute=sirs,
    source="Bone RC et al. Chest 1992;101:1644-1655. https://doi.org/10.1378/chest.101.6.1644",
    outcome="systemic inflammatory response",
    limits="adults",
    applies=within(("age", 18, _INFINITE)),
)

_CURB65_STRATA: Strata = (
    (1, "low", "1.5% died within 30 days in the derivation cohort"),
    (2, "intermediate", "9.2% died within 30 days in the derivation cohort"),
    (5, "high", "22% died within 30 days in the derivation cohort"),
)


def curb65(values: Values) -> Result:
    """CURB-65 of community-acquired pneumonia, 0 to 5.

    Inputs: confusion, urea mmol/L (over 7), respiratory_rate /min (30 or more), systolic (under 90) or diastolic (60 or
    less) mm[Hg], age (65 or more).
    Source: Lim WS et al. Thorax 2003;58:377-382. https://doi.org/10.1136/thorax.58.5.377
    """
    low_systolic, low_diastolic = number(values, "systolic") < 90, number(values, "diastolic") <= 60
    parts = [
        when(values, "confusion", yes(values, "confusion"), 1, "new confusion"),
        at_most(values, "urea", ((7, 0),), 1),
        below(values, "respiratory_rate", ((30, 0),), 1),
        when(values, "systolic", low_systolic, 1, "under 90"),
        when(values, "diastolic", low_diastolic and not low_systolic, 1, "60 or less"),
        below(values, "age", ((65, 0),), 1),
    ]
    return points(parts, _CURB65_STRATA)


CURB65 = Score(
    name="curb65",
    title="CURB-65",
    inputs=ask("age confusion urea respiratory_rate systolic diastolic", within=24),
    compute=curb65,
    source="Lim WS et al. Thorax 2003;58:377-382. https://doi.org/10.1136/thorax.58.5.377",
    outcome="death within 30 days",
    horizon=30,
    limits="adults with community-acquired pneumonia",
    applies=within(("age", 18, _INFINITE)),
)

ACUTE = (NEWS2, QSOFA, SIRS, CURB65)
