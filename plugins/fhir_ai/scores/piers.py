"""Pre-eclampsia: fullPIERS and miniPIERS, known at second hand and therefore off by default."""

import math

from fhir_ai.scores.maternal import pregnant_only
from fhir_ai.scores.score import Contribution, Result, Score, Values
from fhir_ai.scores.terms import CONSTANT, Strata, logistic, number, term, yes
from fhir_ai.scores.vocabulary import ask

_UMOL_PER_MG = 88.42
RANGES = {
    "gestational_age": (20.0, 42.0),
    "creatinine_umol": (20.0, 300.0),
    "platelets": (20.0, 450.0),
    "ast": (5.0, 500.0),
    "spo2": (90.0, 100.0),
    "systolic": (140.0, 220.0),
}
"""What inputs are clamped to: the formulas' products (platelets x SpO2, platelets x AST) are absurd far outside."""

_FULL_STRATA: Strata = (
    (0.0099999, "under 1%", ""),
    (0.0249999, "1% to 2.4%", ""),
    (0.0499999, "2.5% to 4.9%", ""),
    (0.0999999, "5% to 9.9%", ""),
    (0.2999999, "10% to 29%", ""),
    (1, "30% or more", "rules in: likelihood ratio 17.5 within 24 hours in the derivation cohort"),
)


def clamped(name: str, value: float) -> float:
    """A value moved into the range of the study."""
    low, high = RANGES[name]
    return min(max(value, low), high)


def full_piers(values: Values) -> Result:
    """fullPIERS: adverse maternal outcome within 48 hours. Second-hand: the formula is not from the paper itself.

    logit = 2.68 - 0.0541 weeks + 1.23 chest pain or dyspnoea - 0.0271 creatinine + 0.207 platelets + 4e-5 platelets^2 +
    0.0101 AST - 3.05e-6 AST^2 + 2.5e-4 creatinine platelets - 6.99e-5 platelets AST - 2.56e-3 platelets SpO2;
    creatinine in umol/L (given as mg/dL), platelets 10*3/uL, AST U/L, SpO2 %. Clamped to RANGES. A product counts with
    its first input.
    Source: von Dadelszen P et al. Lancet 2011;377:219-227. https://doi.org/10.1016/S0140-6736(10)61351-7
    """
    weeks = clamped("gestational_age", number(values, "gestational_age"))
    creatinine = clamped("creatinine_umol", number(values, "creatinine") * _UMOL_PER_MG)
    platelets = clamped("platelets", number(values, "platelets"))
    ast, spo2 = clamped("ast", number(values, "ast")), clamped("spo2", number(values, "spo2"))
    cells = 0.207 * platelets + 4e-5 * platelets**2 - 6.99e-5 * platelets * ast - 2.56e-3 * platelets * spo2
    parts = [
        term(values, "gestational_age", -0.0541 * weeks),
        term(values, "chest_pain_or_dyspnoea", 1.23 * yes(values, "chest_pain_or_dyspnoea")),
        term(values, "creatinine", -0.0271 * creatinine + 2.5e-4 * creatinine * platelets),
        term(values, "platelets", cells, "with its products with AST and SpO2"),
        term(values, "ast", 0.0101 * ast - 3.05e-6 * ast**2),
        Contribution(CONSTANT, None, 2.68),
    ]
    return logistic(parts, "adverse maternal outcome within 48 hours", _FULL_STRATA)


FULL_PIERS = Score(
    name="full_piers",
    title="fullPIERS (formula at second hand)",
    inputs=(
        *ask("pregnant gestational_age"),
        *ask("chest_pain_or_dyspnoea creatinine platelets ast spo2", within=24),
    ),
    compute=full_piers,
    source="von Dadelszen P et al. Lancet 2011;377:219-227. https://doi.org/10.1016/S0140-6736(10)61351-7",
    outcome="adverse maternal outcome of pre-eclampsia within 48 hours",
    horizon=2,
    limits="women admitted with pre-eclampsia; formula at second hand, inputs clamped",
    applies=pregnant_only,
    enabled=False,
)

_DIPSTICK = {"negative": 0.0, "trace": 0.0, "1+": 0.0, "2+": -0.218, "3+": 0.424, "4+": 0.512}
_MINI_STRATA: Strata = (
    (0.2499999, "under 25%", ""),
    (1, "25% or more", "the source's threshold of high risk"),
)


def mini_piers(values: Values) -> Result:
    """miniPIERS, without a laboratory: adverse maternal outcome within 48 hours. Second-hand as fullPIERS is.

    logit = -5.77 - 0.298 parous - 1.07 ln weeks + 1.34 ln systolic + dipstick (2+ -0.218, 3+ 0.424, 4+ 0.512) + 1.18
    bleeding with pain + 0.422 headache or visual + 0.847 chest pain or dyspnoea. Clamped to RANGES.
    Source: Payne BA et al. PLoS Med 2014;11:e1001589. https://doi.org/10.1371/journal.pmed.1001589
    """
    weeks = clamped("gestational_age", number(values, "gestational_age"))
    pressure = clamped("systolic", number(values, "systolic"))
    parts = [
        term(values, "parous", -0.298 * yes(values, "parous")),
        term(values, "gestational_age", -1.07 * math.log(weeks)),
        term(values, "systolic", 1.34 * math.log(pressure)),
        term(values, "dipstick", _DIPSTICK[str(values["dipstick"])]),
        term(values, "bleeding_with_pain", 1.18 * yes(values, "bleeding_with_pain")),
        term(values, "headache_or_visual", 0.422 * yes(values, "headache_or_visual")),
        term(values, "chest_pain_or_dyspnoea", 0.847 * yes(values, "chest_pain_or_dyspnoea")),
        Contribution(CONSTANT, None, -5.77),
    ]
    return logistic(parts, "adverse maternal outcome within 48 hours", _MINI_STRATA)


MINI_PIERS = Score(
    name="mini_piers",
    title="miniPIERS (formula at second hand)",
    inputs=(
        *ask("pregnant gestational_age parous"),
        *ask("systolic dipstick bleeding_with_pain headache_or_visual chest_pain_or_dyspnoea", within=24),
    ),
    compute=mini_piers,
    source="Payne BA et al. PLoS Med 2014;11:e1001589. https://doi.org/10.1371/journal.pmed.1001589",
    outcome="adverse maternal outcome of a hypertensive disorder within 48 hours",
    horizon=2,
    limits="women with a hypertensive disorder of pregnancy; formula at second hand, inputs clamped",
    applies=pregnant_only,
    enabled=False,
)

PIERS = (FULL_PIERS, MINI_PIERS)
