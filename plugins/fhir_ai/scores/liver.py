"""Liver: MELD, MELD-Na, MELD 3.0, Child-Pugh, FIB-4."""

import math

from fhir_ai.scores.score import Contribution, Result, Score, Values
from fhir_ai.scores.terms import (
    CONSTANT,
    Strata,
    at_most,
    below,
    coded,
    half_up,
    number,
    only_with,
    points,
    stratum,
    term,
    together,
    within,
    yes,
)
from fhir_ai.scores.vocabulary import MONTH, WEEK, ask

_MELD_STRATA: Strata = (
    (9, "9 or less", "1.9% of inpatients died within 3 months (Wiesner 2003)"),
    (19, "10-19", "6.0% of inpatients died within 3 months (Wiesner 2003)"),
    (29, "20-29", "19.6% of inpatients died within 3 months (Wiesner 2003)"),
    (39, "30-39", "52.6% of inpatients died within 3 months (Wiesner 2003)"),
    (math.inf, "40 or more", "71.3% of inpatients died within 3 months (Wiesner 2003)"),
)
"""Wiesner R et al. Gastroenterology 2003;124:91-96 (https://doi.org/10.1053/gast.2003.50016), of the original MELD."""
_LATER_STRATA: Strata = tuple(
    (limit, band, "the higher, the more urgent; no mortality of this version is given by band")
    for limit, band, _ in _MELD_STRATA
)
_ADULT = within(("age", 18, math.inf))
_DISEASED = ("mild_liver_disease", "severe_liver_disease")
_LIVER_DISEASE = only_with(_DISEASED, "liver disease", _ADULT)


def _clamped(values: Values, name: str, low: float, high: float) -> float:
    return min(max(number(values, name), low), high)


def _creatinine(values: Values, high: float) -> float:
    """Creatinine between 1 and the cap; dialysis counts as the cap."""
    return high if yes(values, "dialysis") else _clamped(values, "creatinine", 1, high)


def _original(values: Values) -> list[Contribution]:
    """The terms of the original model; none is below 0, as each laboratory value counts as 1 at least."""
    return [
        term(values, "creatinine", 9.57 * math.log(_creatinine(values, 4)), "1 to 4 mg/dL; 4 on dialysis"),
        term(values, "bilirubin", 3.78 * math.log(max(number(values, "bilirubin"), 1)), "1 mg/dL at least"),
        term(values, "inr", 11.2 * math.log(max(number(values, "inr"), 1)), "1 at least"),
        Contribution(CONSTANT, None, 6.43),
    ]


def _whole(parts: list[Contribution], total: float, strata: Strata = _LATER_STRATA) -> Result:
    score = min(max(half_up(total), 6), 40)
    band, meaning = stratum(score, strata)
    return Result(score, "points", band, meaning, together(parts, score, "to a whole number, 6 to 40"))


def meld(values: Values) -> Result:
    """MELD of 2001 as OPTN used it, 6 to 40.

    9.57 ln creatinine + 3.78 ln bilirubin + 11.2 ln INR + 6.43; creatinine 1 to 4 mg/dL (4 on dialysis), the others at
    least 1. Kamath's own paper has a term of the cause of disease, which UNOS dropped: we follow UNOS.
    Source: Kamath PS et al. Hepatology 2001;33:464-470. https://doi.org/10.1053/jhep.2001.22172
    """
    parts = _original(values)
    return _whole(parts, math.fsum(part.points for part in parts), _MELD_STRATA)


def meld_na(values: Values) -> Result:
    """MELD-Na as OPTN computed it from 2016 to 2023, 6 to 40.

    MELD(i) is rounded to a whole number (to a tenth, then times ten); over 11 it becomes MELD(i) + 1.32 (137 - Na) -
    0.033 MELD(i) (137 - Na), sodium 125 to 137 mmol/L.
    Source: Kim WR et al. N Engl J Med 2008;359:1018-1026. https://doi.org/10.1056/NEJMoa0801209; OPTN Policy 9.1.D.
    """
    parts = _original(values)
    initial = half_up(math.fsum(part.points for part in parts))
    low_sodium = 137 - _clamped(values, "sodium", 125, 137)
    added = 1.32 * low_sodium - 0.033 * initial * low_sodium if initial > 11 else 0.0
    return _whole([*parts, term(values, "sodium", added, "125 to 137; counts when MELD is over 11")], initial + added)


def meld_3(values: Values) -> Result:
    """MELD 3.0, 6 to 40.

    1.33 if female + 4.56 ln bilirubin + 0.82 (137 - Na) - 0.24 (137 - Na) ln bilirubin + 9.09 ln INR + 11.14 ln
    creatinine + 1.85 (3.5 - albumin) - 1.83 (3.5 - albumin) ln creatinine + 6; bilirubin and INR at least 1, creatinine
    1 to 3 mg/dL (3 on dialysis), sodium 125 to 137 mmol/L, albumin 1.5 to 3.5 g/dL. An interaction counts with the
    input that comes second in it.
    Source: Kim WR et al. Gastroenterology 2021;161:1887-1895. https://doi.org/10.1053/j.gastro.2021.08.050
    """
    bilirubin = math.log(max(number(values, "bilirubin"), 1))
    creatinine = math.log(_creatinine(values, 3))
    sodium = 137 - _clamped(values, "sodium", 125, 137)
    albumin = 3.5 - _clamped(values, "albumin", 1.5, 3.5)
    parts = [
        term(values, "sex", 1.33 if values["sex"] == "female" else 0.0),
        term(values, "bilirubin", 4.56 * bilirubin),
        term(values, "sodium", 0.82 * sodium - 0.24 * sodium * bilirubin),
        term(values, "inr", 9.09 * math.log(max(number(values, "inr"), 1))),
        term(values, "creatinine", 11.14 * creatinine),
        term(values, "albumin", 1.85 * albumin - 1.83 * albumin * creatinine),
        Contribution(CONSTANT, None, 6),
    ]
    return _whole(parts, math.fsum(part.points for part in parts))


def _meld(name: str, title: str, inputs: str, source: str) -> Score:
    return Score(
        name=name,
        title=title,
        inputs=ask(f"{' '.join(_DISEASED)} age {inputs} dialysis", within=WEEK),
        compute={"meld": meld, "meld_na": meld_na, "meld_3": meld_3}[name],
        source=source,
        outcome="death within 3 months without a transplant",
        horizon=90,
        limits="adults with end-stage liver disease; some liver disease must be recorded",
        applies=_LIVER_DISEASE,
    )


MELD = _meld(
    "meld",
    "MELD (2001)",
    "creatinine bilirubin inr",
    "Kamath PS et al. Hepatology 2001;33:464-470. https://doi.org/10.1053/jhep.2001.22172",
)
MELD_NA = _meld(
    "meld_na",
    "MELD-Na (2016)",
    "creatinine bilirubin inr sodium",
    "Kim WR et al. N Engl J Med 2008;359:1018-1026. https://doi.org/10.1056/NEJMoa0801209; OPTN Policy 9.1.D",
)
MELD_3 = _meld(
    "meld_3",
    "MELD 3.0",
    "sex creatinine bilirubin inr sodium albumin",
    "Kim WR et al. Gastroenterology 2021;161:1887-1895. https://doi.org/10.1053/j.gastro.2021.08.050",
)

_CHILD_STRATA: Strata = (
    (6, "A", "well-compensated disease"),
    (9, "B", "significant functional compromise"),
    (15, "C", "decompensated disease"),
)


def child_pugh(values: Values) -> Result:
    """Child-Pugh, 5 to 15, classes A to C.

    Inputs: bilirubin mg/dL (under 2, 2-3, over 3), albumin g/dL (over 3.5, 2.8-3.5, under 2.8), inr (under 1.7,
    1.7-2.3, over 2.3), ascites, encephalopathy. Pugh had seconds of prothrombin time (under 4, 4-6, over
    6); the INR limits are those in common use for them. Other limits for cholestatic disease are not applied.
    Source: Pugh RNH et al. Br J Surg 1973;60:646-649. https://doi.org/10.1002/bjs.1800600817
    """
    albumin = number(values, "albumin")
    parts = [
        _one_to_three(values, "bilirubin", 2, 3),
        term(values, "albumin", 1 if albumin > 3.5 else 2 if albumin >= 2.8 else 3),
        _one_to_three(values, "inr", 1.7, 2.3),
        coded(values, "ascites", {"none": 1, "mild": 2, "moderate_severe": 3}),
        coded(values, "encephalopathy", {"none": 1, "grade_1_2": 2, "grade_3_4": 3}),
    ]
    return points(parts, _CHILD_STRATA)


def _one_to_three(values: Values, name: str, low: float, high: float) -> Contribution:
    return below(values, name, ((low, 1),), 2) if number(values, name) < low else at_most(values, name, ((high, 2),), 3)


CHILD_PUGH = Score(
    name="child_pugh",
    title="Child-Pugh",
    inputs=ask(f"{' '.join(_DISEASED)} age bilirubin albumin inr ascites encephalopathy", within=MONTH),
    compute=child_pugh,
    source="Pugh RNH et al. Br J Surg 1973;60:646-649. https://doi.org/10.1002/bjs.1800600817",
    outcome="severity of cirrhosis",
    limits="adults with cirrhosis; some liver disease must be recorded",
    applies=_LIVER_DISEASE,
)


def fib4(values: Values) -> Result:
    """FIB-4: age x AST / (platelets x sqrt(ALT)); contributions are terms of its logarithm.

    Inputs: age, ast U/L, alt U/L, platelets 10*3/uL. Bands are those of fatty liver: under 1.30 (under 2.0 from 65
    years on) low, over 2.67 high (Shah 2009, https://doi.org/10.1016/j.cgh.2009.05.033; McPherson 2017,
    https://doi.org/10.1038/ajg.2016.453); Sterling's own for HIV/HCV were 1.45 and 3.25.
    Source: Sterling RK et al. Hepatology 2006;43:1317-1325. https://doi.org/10.1002/hep.21178
    """
    parts = (
        term(values, "age", math.log(number(values, "age"))),
        term(values, "ast", math.log(number(values, "ast"))),
        term(values, "platelets", -math.log(number(values, "platelets"))),
        term(values, "alt", -math.log(number(values, "alt")) / 2),
    )
    index = number(values, "age") * number(values, "ast")
    index /= number(values, "platelets") * math.sqrt(number(values, "alt"))
    low = 2.0 if number(values, "age") >= 65 else 1.30
    if index < low:
        return Result(index, "points", "low", "advanced fibrosis unlikely", parts, "log")
    if index > 2.67:
        return Result(index, "points", "high", "advanced fibrosis likely: specialist assessment", parts, "log")
    return Result(index, "points", "indeterminate", "advanced fibrosis neither excluded nor shown", parts, "log")


FIB4 = Score(
    name="fib4",
    title="FIB-4",
    inputs=ask("age ast alt platelets", within=6 * MONTH),
    compute=fib4,
    source="Sterling RK et al. Hepatology 2006;43:1317-1325. https://doi.org/10.1002/hep.21178",
    outcome="advanced liver fibrosis now",
    limits="adults with chronic liver disease, not in acute hepatitis; poor under 35 years",
    applies=_ADULT,
)

LIVER = (MELD, MELD_NA, MELD_3, CHILD_PUGH, FIB4)
