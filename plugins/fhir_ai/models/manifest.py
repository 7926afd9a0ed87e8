"""Manifest: what a model file is, which hash it must have, what it takes, and for whom it was trained."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fhir_ai.models.errors import ModelUnavailable

FILE = "manifest.json"
_NUMBERS = ("horizon", "intercept", "threshold", "conformal", "minimum_age", "maximum_age")


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of the graph, in the order of its columns.

    levels: the number that a code (or `true`, `false`) stands for. bands: (low, high, number), of a scale that was
    trained in steps. Neither: a number, in `unit` (UCUM). required: nothing is predicted without it; any other missing
    value is passed as missing, for which the graph has a term.
    """

    name: str
    title: str
    unit: str
    low: float
    high: float
    required: bool
    levels: Mapping[str, float]
    bands: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """One version of a model.

    intercept: of the linear predictor; the graph gives the other terms. threshold: probability from which a patient is
    flagged. conformal: quantile of the nonconformity (1 - probability of the true class) on the tuning patients.
    settings: kinds of encounter it holds for. horizon: days.
    """

    name: str
    version: str
    title: str
    outcome: str
    horizon: float
    file: str
    sha256: str
    intercept: float
    threshold: float
    conformal: float
    minimum_age: float
    maximum_age: float
    cohort: str
    features: tuple[Feature, ...]


def read_manifest(folder: Path) -> Manifest:
    """Read `manifest.json` of a model's folder.

    Raises:
        ModelUnavailable: it is missing, or is no manifest.
    """
    try:
        return _manifest(json.loads((folder / FILE).read_text(encoding="utf-8")))
    except OSError as error:
        raise ModelUnavailable(f"the model {folder.name!r} has no manifest that can be read") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelUnavailable(f"the manifest of the model {folder.name!r} is damaged") from error


def checked_bytes(folder: Path, manifest: Manifest) -> bytes:
    """Return the model file's bytes when they are those that the manifest names.

    Raises:
        ModelUnavailable: the file is missing, or has another hash.
    """
    try:
        content = (folder / manifest.file).read_bytes()
    except OSError as error:
        raise ModelUnavailable(f"the file of the model {manifest.name!r} cannot be read") from error
    found = hashlib.sha256(content).hexdigest()
    if found != manifest.sha256:
        raise ModelUnavailable(
            f"the file of the model {manifest.name!r} is refused: its SHA-256 is {found[:12]}..., "
            f"its manifest says {manifest.sha256[:12]}...; install the file that belongs to the manifest"
        )
    return content


def _manifest(raw: dict[str, Any]) -> Manifest:
    features = tuple(_feature(each) for each in raw["features"])
    numbers = {name: float(raw[name]) for name in _NUMBERS}
    if not features or Path(raw["file"]).name != raw["file"]:
        raise ValueError("a model has features, and its file lies beside its manifest")
    return Manifest(**{**raw, **numbers, "features": features})


def _feature(raw: dict[str, Any]) -> Feature:
    bands = tuple((float(low), float(high), float(level)) for low, high, level in raw["bands"])
    levels = {str(name): float(level) for name, level in raw["levels"].items()}
    limits = {"low": float(raw["low"]), "high": float(raw["high"])}
    return Feature(**{**raw, **limits, "bands": bands, "levels": levels})
