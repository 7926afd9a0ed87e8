"""Kidney: estimated filtration rate (CKD-EPI 2021) and the kidney failure risk equations."""

import math

from fhir_ai.scores.score import Contribution, Result, Score, Values
from fhir_ai.scores.terms import CONSTANT, Strata, number, stratum, survival, term, within
from fhir_ai.scores.vocabulary import DAY, ask

_STAGES: Strata = (
    (14.999999, "G5", "kidney failure"),
    (29.999999, "G4", "severely decreased"),
    (44.999999, "G3b", "moderately to severely decreased"),
    (59.999999, "G3a", "mildly to moderately decreased"),
    (89.999999, "G2", "mildly decreased"),
    (math.inf, "G1", "normal or high"),
)


def ckd_epi_2021(values: Values) -> Result:
    """Estimated glomerular filtration rate in mL/min/1.73 m2, without race; contributions are terms of its logarithm.

    142 x min(Scr/k, 1)^a x max(Scr/k, 1)^-1.200 x 0.9938^age x 1.012 if female; k 0.7, a -0.241 (female), k 0.9, a
    -0.302 (male). Inputs: creatinine mg/dL, age, sex. Bands are KDIGO's categories, which need 3 months to be disease.
    Source: Inker LA et al. N Engl J Med 2021;385:1737-1749. https://doi.org/10.1056/NEJMoa2102953
    """
    female = values["sex"] == "female"
    kappa, alpha = (0.7, -0.241) if female else (0.9, -0.302)
    ratio = number(values, "creatinine") / kappa
    power = alpha if ratio < 1 else -1.2
    parts = (
        Contribution(CONSTANT, None, math.log(142)),
        term(values, "creatinine", power * math.log(ratio)),
        term(values, "age", number(values, "age") * math.log(0.9938)),
        term(values, "sex", math.log(1.012) if female else 0.0),
    )
    rate = math.exp(math.fsum(part.points for part in parts))
    band, meaning = stratum(rate, _STAGES)
    return Result(rate, "points", band, meaning, parts, "log")


CKD_EPI_2021 = Score(
    name="ckd_epi_2021",
    title="eGFR, CKD-EPI 2021",
    inputs=(*ask("age sex"), *ask("creatinine", within=90 * DAY)),
    compute=ckd_epi_2021,
    source="Inker LA et al. N Engl J Med 2021;385:1737-1749. https://doi.org/10.1056/NEJMoa2102953",
    outcome="glomerular filtration rate now",
    limits="adults with a steady creatinine",
    applies=within(("age", 18, math.inf)),
)

_BASELINES = {
    (4, "north_america", 2): 0.9750,
    (4, "north_america", 5): 0.9240,
    (4, "other", 2): 0.9832,
    (4, "other", 5): 0.9365,
    (8, "north_america", 2): 0.9780,
    (8, "north_america", 5): 0.9301,
    (8, "other", 2): 0.9827,
    (8, "other", 5): 0.9245,
}


def kfre4(values: Values, years: int) -> Result:
    """Kidney failure risk equation of 4 variables, at 2 or 5 years, recalibrated for North America and elsewhere.

    1 - S0^exp(-0.2201 (age/10 - 7.036) + 0.2467 (male - 0.5642) - 0.5567 (eGFR/5 - 7.222) + 0.4510 (ln ACR - 5.137)).
    Inputs: age, sex, egfr mL/min/1.73 m2, uacr mg/g, region.
    Source: Tangri N et al. JAMA 2016;315:164-174. https://doi.org/10.1001/jama.2015.18202
    """
    parts = [
        term(values, "age", -0.2201 * (number(values, "age") / 10 - 7.036)),
        term(values, "sex", 0.2467 * ((values["sex"] == "male") - 0.5642)),
        term(values, "egfr", -0.5567 * (number(values, "egfr") / 5 - 7.222)),
        term(values, "uacr", 0.4510 * (math.log(number(values, "uacr")) - 5.137)),
    ]
    return _failure(parts, values, 4, years)


def kfre8(values: Values, years: int) -> Result:
    """Kidney failure risk equation of 8 variables: as `kfre4`, with albumin, phosphate, bicarbonate and calcium.

    Inputs besides: albumin g/dL, phosphate mg/dL, bicarbonate mmol/L, calcium mg/dL. Coefficients and baseline
    survivals are those of the paper's supplement as the package kfre 0.1.18 gives them.
    Source: Tangri N et al. JAMA 2016;315:164-174. https://doi.org/10.1001/jama.2015.18202
    """
    parts = [
        term(values, "age", -0.1992 * (number(values, "age") / 10 - 7.036)),
        term(values, "sex", 0.1602 * ((values["sex"] == "male") - 0.5642)),
        term(values, "egfr", -0.4919 * (number(values, "egfr") / 5 - 7.222)),
        term(values, "uacr", 0.3364 * (math.log(number(values, "uacr")) - 5.137)),
        term(values, "albumin", -0.3441 * (number(values, "albumin") - 3.997)),
        term(values, "phosphate", 0.2604 * (number(values, "phosphate") - 3.916)),
        term(values, "bicarbonate", -0.07354 * (number(values, "bicarbonate") - 25.57)),
        term(values, "calcium", -0.2228 * (number(values, "calcium") - 9.355)),
    ]
    return _failure(parts, values, 8, years)


def _failure(parts: list[Contribution], values: Values, variables: int, years: int) -> Result:
    baseline = _BASELINES[variables, str(values["region"]), years]
    return survival(parts, baseline, 0.0, f"kidney failure (dialysis or transplant) within {years} years")


def _equation(variables: int, years: int) -> Score:
    extra = "albumin phosphate bicarbonate calcium" if variables == 8 else ""
    formula = kfre8 if variables == 8 else kfre4
    return Score(
        name=f"kfre{variables}_{years}y",
        title=f"Kidney failure risk, {variables} variables, {years} years",
        inputs=(*ask("age sex region egfr uacr dialysis"), *ask(extra, within=90 * DAY)),
        compute=lambda values: formula(values, years),
        source="Tangri N et al. JAMA 2016;315:164-174. https://doi.org/10.1001/jama.2015.18202",
        outcome="kidney failure treated by dialysis or transplant",
        horizon=years * 365.25,
        limits="adults with chronic kidney disease G3-G5 (eGFR under 60), not on dialysis",
        applies=within(("age", 18, math.inf), under={"egfr": 60}, unless={"dialysis": "already on dialysis"}),
    )


KIDNEY = (CKD_EPI_2021, _equation(4, 2), _equation(4, 5), _equation(8, 2), _equation(8, 5))
