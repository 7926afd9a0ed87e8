"""The card as a page of docs/ai/models."""

from collections.abc import Iterable
from typing import Any


def page(card: dict[str, Any]) -> str:
    """Write the card in Markdown; made by the training run, so that no figure is typed by hand."""
    parts = (
        _head(card),
        _figures(card),
        _comparison(card),
        _calibration(card),
        _subgroups(card),
        _inputs(card),
        _data(card),
    )
    return "\n\n".join(parts) + "\n\n## Limits\n\n" + "\n".join(f"- {each}" for each in card["limits"]) + "\n"


def _head(card: dict[str, Any]) -> str:
    counts = [f"{name} {c['patients']:,} ({c['deaths']:,} deaths)" for name, c in card["patients"].items()]
    return "\n".join(
        (
            f"# {card['title']}",
            "",
            "This is a model, not a published score. Made by `python -m scripts.training`, "
            f"seed {card['seed']}; do not edit.",
            "",
            f"- Model: `{card['name']}` {card['version']}, {card['kind']}; {card['bytes']:,} bytes.",
            f"- SHA-256: `{card['sha256']}`.",
            f"- Outcome: {card['outcome']}.",
            f"- Cohort: {card['cohort']}. For anybody else it is not computed.",
            f"- Patients: {', '.join(counts)}. Every figure below is of the test patients, whom neither the fit nor "
            "the choice of the threshold saw.",
        )
    )


def _figures(card: dict[str, Any]) -> str:
    at, sets = card["threshold"], card["conformal"]
    rows = (
        ("AUROC (95 % interval)", _area(card["auroc"])),
        ("AUPRC (prevalence is what chance gives)", f"{card['auprc']:.3f} (chance {_prevalence(card):.3f})"),
        ("Brier score", f"{card['brier']:.3f} (chance {_prevalence(card) * (1 - _prevalence(card)):.3f})"),
        ("Calibration intercept, slope", f"{card['calibration']['intercept']:.2f}, {card['calibration']['slope']:.2f}"),
        ("Threshold (finds 70 % of deaths of the tuning patients)", f"{at['threshold']:.3f}"),
        ("Sensitivity, specificity", f"{at['sensitivity']:.3f}, {at['specificity']:.3f}"),
        ("PPV, NPV", f"{at['ppv']:.3f}, {at['npv']:.3f}"),
        ("Alerts per 100 patients", f"{at['alerts']:.1f}"),
        (f"Conformal sets at {sets['alpha']:.0%} error: coverage", f"{sets['coverage']:.3f}"),
        ("Patients for whom both outcomes stay possible", f"{sets['uncertain']:.1%}"),
    )
    return "## How good it is\n\n" + _table(("", "Test patients"), rows)


def _comparison(card: dict[str, Any]) -> str:
    rows = [(each["title"], _area(each["auroc"]), _area(each["difference"], "+.3f")) for each in card["comparison"]]
    rows.insert(0, ("This model", _area(card["auroc"]), ""))
    first = card["comparison"][0]
    worse = first["difference"]["high"] < 0
    said = "The published score is better than this model." if worse else "The difference is within chance."
    head = ("On the same test patients", "AUROC", "This model minus it")
    return f"## Against the published scores\n\n{said}\n\n{_table(head, rows)}\n\n![ROC](support2-roc.png)"


def _calibration(card: dict[str, Any]) -> str:
    rows = [(str(n), f"{predicted:.3f}", f"{observed:.3f}") for n, predicted, observed in card["calibration"]["tenths"]]
    table = _table(("Patients", "Mean predicted", "Died"), rows)
    return f"## Calibration\n\nTenths by predicted probability.\n\n{table}\n\n![Calibration](support2-calibration.png)"


def _subgroups(card: dict[str, Any]) -> str:
    head = ("", "Group", "Patients", "Died", "Predicted", "AUROC", "Sensitivity", "PPV", "Alerts per 100")
    rows = [
        (
            each["attribute"],
            each["group"],
            str(each["patients"]),
            f"{each['observed']:.3f}",
            f"{each['predicted']:.3f}",
            _area(each["auroc"]),
            f"{each['sensitivity']:.2f}",
            f"{each['ppv']:.2f}",
            f"{each['alerts']:.0f}",
        )
        for each in card["subgroups"]
    ]
    return "## Subgroups\n\nGroups of 30 test patients and more.\n\n" + _table(head, rows)


def _inputs(card: dict[str, Any]) -> str:
    rows = [
        (f"`{each['name']}`", each["title"], each["unit"], "yes" if each["required"] else "", f"{each['missing']:.0%}")
        for each in card["inputs"]
    ]
    return "## Inputs\n\n" + _table(("Name", "Meaning", "Unit (UCUM)", "Required", "Missing in SUPPORT2"), rows)


def _data(card: dict[str, Any]) -> str:
    data, gate = card["data"], card["gate"]
    lines = [
        f"- {data['name']}; {data['where_and_when']}. {data['citation']}",
        f"- Source: {data['source']}.",
        f"- Licence: {data['licence']}",
        f"- Admission gate: {gate['duplicate_share']:.2%} repeated rows; the least distance of a continuous column "
        f"to an evenly spread one is {gate['smallest_uniform_distance']:.3f} (refused at 0.05); "
        "no patient or row in two parts.",
        f"- {gate['left_out']} patients of 9,105 without day-3 vital signs were left out.",
        "- Packages: " + "; ".join(f"{name} {said}" for name, said in card["packages"].items()) + ".",
    ]
    return "## Data and licences\n\n" + "\n".join(lines)


def _prevalence(card: dict[str, Any]) -> float:
    test = card["patients"]["test"]
    share: float = test["deaths"] / test["patients"]
    return share


def _area(interval: dict[str, float], form: str = ".3f") -> str:
    return f"{interval['value']:{form}} ({interval['low']:{form}} to {interval['high']:{form}})"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
