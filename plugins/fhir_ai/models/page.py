"""The card as a page of docs/ai/models."""

from collections.abc import Iterable
from typing import Any


def page(card: dict[str, Any]) -> str:
    """Write the card in Markdown; made by the training run, so that no figure is typed by hand."""
    parts = (
        _head(card),
        _figures(card),
        _comparison(card),
        *([_tried(card)] if card["tried"] else []),
        _calibration(card),
        _subgroups(card),
        _inputs(card),
        _data(card),
    )
    return "\n\n".join(parts) + "\n\n## Limits\n\n" + "\n".join(f"- {each}" for each in card["limits"]) + "\n"


def _head(card: dict[str, Any]) -> str:
    event = card["event"]
    counts = [f"{name} {c['patients']:,} ({c['events']:,} {event})" for name, c in card["patients"].items()]
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
            f"- Rows: {', '.join(counts)}. Every figure below is of the test rows, which neither the fit nor "
            "the choice of the threshold saw.",
        )
    )


def _figures(card: dict[str, Any]) -> str:
    at, sets, line = card["threshold"], card["conformal"], card["calibration"]
    rows = (
        ("AUROC (95 % interval)", _area(card["auroc"])),
        ("AUPRC (prevalence is what chance gives)", f"{card['auprc']:.3f} (chance {_prevalence(card):.3f})"),
        ("Brier score", f"{card['brier']:.3f} (chance {_prevalence(card) * (1 - _prevalence(card)):.3f})"),
        ("Calibration intercept, slope", f"{line['intercept']:.2f}, {line['slope']:.2f}"),
        (f"Threshold (finds {at['chosen']:.0%} of {card['event']} of the tuning rows)", f"{at['threshold']:.3f}"),
        ("Sensitivity, specificity", f"{at['sensitivity']:.3f}, {at['specificity']:.3f}"),
        ("PPV, NPV", f"{at['ppv']:.3f}, {at['npv']:.3f}"),
        ("Alerts per 100", f"{at['alerts']:.1f}"),
        (f"Conformal sets at {sets['alpha']:.0%} error: coverage", f"{sets['coverage']:.3f}"),
        ("Rows for which both outcomes stay possible", f"{sets['uncertain']:.1%}"),
    )
    return "## How good it is\n\n" + _table(("", "Test rows"), rows)


def _comparison(card: dict[str, Any]) -> str:
    rows = [(each["title"], _area(each["auroc"]), _area(each["difference"], "+.3f")) for each in card["comparison"]]
    rows.insert(0, ("This model", _area(card["auroc"]), ""))
    head = ("On the same test rows", "AUROC", "This model minus it")
    plot = f"![ROC]({card['folder']}-roc.png)"
    return f"## Against other scores\n\n{card['compared']}\n\n{_table(head, rows)}\n\n{plot}"


def _tried(card: dict[str, Any]) -> str:
    rows = [(each["title"], f"{each['auroc']:.3f}") for each in card["tried"]]
    said = "Columns of the data that are no inputs, and the AUROC of the same test rows with them, single terms alone."
    return "## What was left out\n\n" + said + "\n\n" + _table(("With", "AUROC"), rows)


def _calibration(card: dict[str, Any]) -> str:
    rows = [(str(n), f"{predicted:.3f}", f"{observed:.3f}") for n, predicted, observed in card["calibration"]["tenths"]]
    table = _table(("Rows", "Mean predicted", "Share with the outcome"), rows)
    plot = f"![Calibration]({card['folder']}-calibration.png)"
    return f"## Calibration\n\nTenths by predicted probability.\n\n{table}\n\n{plot}"


def _subgroups(card: dict[str, Any]) -> str:
    head = ("", "Group", "Rows", "Observed", "Predicted", "AUROC", "Sensitivity", "PPV", "Alerts per 100")
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
    return "## Subgroups\n\nGroups of 30 test rows and more.\n\n" + _table(head, rows)


def _inputs(card: dict[str, Any]) -> str:
    rows = [
        (f"`{each['name']}`", each["title"], each["unit"], "yes" if each["required"] else "", f"{each['missing']:.0%}")
        for each in card["inputs"]
    ]
    return "## Inputs\n\n" + _table(("Name", "Meaning", "Unit (UCUM)", "Required", "Missing in the data"), rows)


def _data(card: dict[str, Any]) -> str:
    data, gate = card["data"], card["gate"]
    lines = [
        f"- {data['name']}; {data['where_and_when']}. {data['citation']}",
        f"- Source: {data['source']}.",
        f"- Licence: {data['licence']}",
        f"- Admission gate: {gate['duplicate_share']:.2%} repeated rows; the least distance of a continuous column "
        f"to an evenly spread one is {gate['smallest_uniform_distance']:.3f} (refused at 0.05); "
        "no patient or row in two parts.",
        f"- {gate['left_out']}",
        "- Packages: " + "; ".join(f"{name} {said}" for name, said in card["packages"].items()) + ".",
    ]
    return "## Data and licences\n\n" + "\n".join(lines)


def _prevalence(card: dict[str, Any]) -> float:
    test = card["patients"]["test"]
    share: float = test["events"] / test["patients"]
    return share


def _area(interval: dict[str, float], form: str = ".3f") -> str:
    return f"{interval['value']:{form}} ({interval['low']:{form}} to {interval['high']:{form}})"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
