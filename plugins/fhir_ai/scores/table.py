"""Table: what docs/ai/scores.md says of each score; a test holds the page to it."""

from fhir_ai.scores import SCORES
from fhir_ai.scores.score import Input, Score

_VECTORS = "public vectors"
_PAPER = "table of the source, as reproduced"
_CLINCALC = "clincalc 0.4.0, 150 random cases"

CHECKS = {
    "news2": (_VECTORS, "every limit of the chart", _CLINCALC),
    "qsofa": (_VECTORS, _PAPER, _CLINCALC),
    "sirs": (_PAPER, "medcalc-bench 1.7.0, 150 random cases, equal but for its fault"),
    "curb65": (_VECTORS, _PAPER, _CLINCALC),
    "sofa": (_VECTORS, _PAPER, _CLINCALC),
    "wells_pe": (_VECTORS, _PAPER, _CLINCALC),
    "wells_dvt": (_VECTORS, _PAPER, _CLINCALC, "medcalc-bench"),
    "cha2ds2_vasc": (_VECTORS, _PAPER, _CLINCALC),
    "has_bled": (_VECTORS, _PAPER, _CLINCALC),
    "meld": (_VECTORS, "worked by hand", _CLINCALC),
    "meld_na": ("OPTN policy worked by hand", "medcalc-bench 1.7.0, 150 random cases, equal but for its fault"),
    "meld_3": (_VECTORS, _CLINCALC),
    "child_pugh": (_VECTORS, _PAPER, _CLINCALC),
    "fib4": (_VECTORS, _CLINCALC, "medcalc-bench"),
    "ckd_epi_2021": (_VECTORS, "KDIGO's categories", _CLINCALC),
    "kfre4": (_VECTORS, "baseline risk at the cohort's means"),
    "kfre8": ("baseline risk at the cohort's means; the formula is that of the package kfre 0.1.18",),
    "framingham_2008": (_VECTORS, "the two worked examples of the paper, to 0.01%"),
    "pooled_cohort_2013": (_VECTORS, "the four examples of the guideline", _CLINCALC),
    "grace": (_VECTORS, "terms of the nomogram", _CLINCALC),
    "prevent": (_VECTORS, "100 risks of preventr 0.12 to 0.001 (5 models, 2 sexes, 2 horizons)", "all 100 sets"),
    "charlson": (_VECTORS, _PAPER, _CLINCALC),
    "charlson_age": (_VECTORS, "survival of the paper", "clincalc 0.4.0, every age, equal but for 50, 60 ..."),
    "lace": (_PAPER,),
    "findrisc": (_VECTORS, _CLINCALC),
    "diabetes_stage": (_PAPER,),
    "phq9": (_PAPER, _CLINCALC),
    "gad7": (_PAPER, _CLINCALC),
    "mewc": ("box of the source, as reproduced",),
    "mewt": ("limits of the paper's abstract",),
    "uspstf_aspirin": (_PAPER,),
    "full_piers": ("public vectors of the same second-hand formula",),
    "mini_piers": ("public vectors of the same second-hand formula",),
}


def markdown() -> str:
    """The two tables of the page: where each score comes from and how it was checked; what it takes."""
    origin = ["| score | source | check | state |", "|---|---|---|---|", *(_origin(score) for score in SCORES.values())]
    inputs = ["| score | for whom | takes |", "|---|---|---|", *(_inputs(score) for score in SCORES.values())]
    return "\n".join([*origin, "", *inputs]) + "\n"


def _check(name: str) -> str:
    return "; ".join(CHECKS.get(name) or CHECKS[name.split("_")[0]])


def _origin(score: Score) -> str:
    state = "on" if score.enabled else "off by default: formula at second hand"
    return f"| `{score.name}` {score.title} | {score.source} | {_check(score.name)} | {state} |"


def _inputs(score: Score) -> str:
    return f"| `{score.name}` | {score.limits} | {', '.join(_input(each) for each in score.inputs)} |"


def _input(each: Input) -> str:
    about = [f"{each.unit}" if each.unit else "", _within(each.window), "" if each.required else "optional"]
    said = "; ".join(part for part in about if part)
    return f"`{each.name}`" + (f" ({said})" if said else "")


def _within(hours: float) -> str:
    if hours == 0:
        return ""
    return f"{hours:g} h" if hours < 72 else f"{hours / 24:g} d"


if __name__ == "__main__":
    print(markdown())  # noqa: T201
