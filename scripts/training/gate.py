"""The admission gate: what makes a table unfit to train on, found before anything is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scripts.training.metrics import auroc

Numbers = npt.NDArray[np.float64]
Table = Mapping[str, Numbers]

MOST_DUPLICATES = 0.01
UNIFORM_DISTANCE = 0.05  # made-up public tables measured 0.02 to 0.04, real ones 0.13 and more
FEWEST_DISTINCT = 20  # below this a column is a category, whose distribution says nothing
FEWEST_ROWS = 200  # below this the distance to uniform is noise
TELLING_AUROC = 0.98


class Refused(ValueError):
    """The table is not fit to train on; `findings` say why."""

    def __init__(self, findings: Sequence["Finding"]) -> None:
        super().__init__("; ".join(each.said for each in findings))
        self.findings = tuple(findings)


@dataclass(frozen=True, slots=True)
class Finding:
    """check: duplicates, uniform, leakage or telltale. column: where it was found, if in one."""

    check: str
    said: str
    column: str = ""


def admit(features: Table, outcome: Numbers, patients: Numbers, splits: Mapping[str, Numbers]) -> dict[str, float]:
    """Let a table through, with what was measured on it for the card.

    splits: row numbers of each part.

    Raises:
        Refused: it holds duplicates, invented columns, rows or patients in two parts, or a copy of the outcome.
    """
    found = [*duplicates(features), *uniform(features), *leakage(features, patients, splits)]
    found += telltales(features, outcome)
    if found:
        raise Refused(found)
    smooth = [uniform_distance(column) for column in features.values() if _continuous(column)]
    return {"duplicate_share": duplicate_share(features), "smallest_uniform_distance": min(smooth, default=1.0)}


def duplicates(features: Table) -> list[Finding]:
    """Rows that are there more than once: a model is then tested on what it was trained on."""
    share = duplicate_share(features)
    if share <= MOST_DUPLICATES:
        return []
    return [Finding("duplicates", f"{share:.1%} of the rows repeat another row; at most {MOST_DUPLICATES:.0%} may")]


def duplicate_share(features: Table) -> float:
    """Share of rows that repeat an earlier one."""
    rows = _rows(features)
    return 1 - len(set(rows)) / len(rows)


def uniform(features: Table) -> list[Finding]:
    """Columns spread evenly between their ends, as random numbers are and no measurement of patients is."""
    return [
        Finding("uniform", f"{name} is {distance:.3f} from evenly spread: it looks invented", name)
        for name, column in features.items()
        if _continuous(column) and (distance := uniform_distance(column)) <= UNIFORM_DISTANCE
    ]


def uniform_distance(column: Numbers) -> float:
    """Kolmogorov-Smirnov distance between a column and the uniform distribution over its range."""
    values = np.sort(column[~np.isnan(column)])
    half = 0.5 if np.all(values == np.round(values)) else 0.0  # whole numbers fill a step each, not a point
    low, high = values[0] - half, values[-1] + half
    steps, counts = np.unique(values, return_counts=True)
    share = (steps + half - low) / (high - low)
    return float(np.max(np.abs(np.cumsum(counts) / len(values) - share)))


def leakage(features: Table, patients: Numbers, splits: Mapping[str, Numbers]) -> list[Finding]:
    """Patients, or equal rows, that are in two parts."""
    rows = _rows(features)
    names = list(splits)
    found = []
    for first, second in ((a, b) for at, a in enumerate(names) for b in names[at + 1 :]):
        parts = [splits[first].astype(int), splits[second].astype(int)]
        people = set(patients[parts[0]].tolist()) & set(patients[parts[1]].tolist())
        same = {rows[row] for row in parts[0]} & {rows[row] for row in parts[1]}
        if people:
            found.append(Finding("leakage", f"{len(people)} patients are in both {first} and {second}"))
        if same:
            found.append(Finding("leakage", f"{len(same)} rows are in both {first} and {second}"))
    return found


def telltales(features: Table, outcome: Numbers) -> list[Finding]:
    """Columns that alone tell the outcome: it was computed from them, or they from it."""
    found = []
    for name, column in features.items():
        known = ~np.isnan(column)
        if len(set(outcome[known].tolist())) < 2:
            continue
        area = auroc(outcome[known], column[known])
        if max(area, 1 - area) >= TELLING_AUROC:
            found.append(Finding("telltale", f"{name} alone tells the outcome (AUROC {max(area, 1 - area):.3f})", name))
    return found


def _continuous(column: Numbers) -> bool:
    known = column[~np.isnan(column)]
    return len(known) >= FEWEST_ROWS and len(np.unique(known)) >= FEWEST_DISTINCT


def _rows(features: Table) -> list[bytes]:
    table = np.column_stack(list(features.values())).astype(np.float64)
    return [row.tobytes() for row in np.where(np.isnan(table), np.inf, table)]
