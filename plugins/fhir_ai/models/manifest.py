"""Manifest: what a model file is, which hash it must have, what it takes, and for whom it was trained."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from fhir_ai.models.errors import ModelUnavailable

FILE = "manifest.json"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}[a-z0-9]", re.ASCII)
_VERSION: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,31}", re.ASCII)
_NUMBERS = ("horizon", "intercept", "threshold", "conformal", "minimum_age", "maximum_age")


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of the graph, in the order of its columns.

    levels: the number that a code (or `true`, `false`) stands for. bands: (low, high, number), of a scale that was
    trained in steps. Neither: a number, in `unit` (UCUM). required: nothing is predicted without it; any other missing
    value is passed as missing, for which the graph has a term. codes: LOINC codes of it in a record, for one that the
    vocabulary of the scores does not have.
    """

    name: str
    title: str
    unit: str
    low: float
    high: float
    required: bool
    levels: Mapping[str, float]
    bands: tuple[tuple[float, float, float], ...]
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """One version of a model.

    horizon: days. file: name of the ONNX file beside the manifest, and sha256 what it must come to.
    intercept: of the linear predictor; the graph gives the other terms. threshold: probability from which a patient is
    flagged. conformal: quantile of the nonconformity (1 - probability of the true class) on the tuning patients.
    kind: a risk of a patient (`$risk-assess`), or an unusual panel of results (`$lab-anomaly`). setting: who may be
    computed. classes: words for the two outcomes, the flagged one second. fallback: published scores that answer in
    its place while it is stopped or cannot compute. terms: the inputs of each term that the graph gives, in its order;
    none are named: one for each feature. label: how the record tells later what became of a patient: by their death
    within the horizon, or not at all.
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
    kind: Literal["risk", "panel"] = "risk"
    setting: Literal["inpatient", "any"] = "inpatient"
    classes: tuple[str, str] = ("survives", "dies")
    fallback: tuple[str, ...] = ()
    terms: tuple[tuple[str, ...], ...] = ()
    label: Literal["death", "none"] = "none"


def parse_manifest(text: str, named: str) -> Manifest:
    """Read the text of a manifest; `named` is what it is called in messages.

    Raises:
        ModelUnavailable: it is no manifest.
    """
    try:
        return _manifest(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelUnavailable(f"the manifest of the model {named!r} is damaged") from error


def read_manifest(folder: Path) -> Manifest:
    """Read `manifest.json` of a model's folder.

    Raises:
        ModelUnavailable: it is missing, or is no manifest.
    """
    try:
        text = (folder / FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelUnavailable(f"the model {folder.name!r} has no manifest that can be read") from error
    return parse_manifest(text, folder.name)


def _manifest(raw: dict[str, Any]) -> Manifest:
    features = tuple(_feature(each) for each in raw["features"])
    numbers = {name: float(raw[name]) for name in _NUMBERS}
    if not features or Path(raw["file"]).name != raw["file"]:
        raise ValueError("a model has features, and its file lies beside its manifest")
    if not _NAME.fullmatch(raw["name"]) or not _VERSION.fullmatch(raw["version"]):
        raise ValueError("a name is made of a-z, 0-9, '.', '_' and '-'; a version of letters, digits, '.', '+' and '-'")
    if raw["kind"] not in ("risk", "panel") or raw["setting"] not in ("inpatient", "any"):
        raise ValueError("a model is a risk or a panel, for inpatients or any")
    if raw.get("label", "none") not in ("death", "none"):
        raise ValueError("what became of a patient is told by their death, or not at all")
    negative, positive = raw["classes"]
    words = {"classes": (str(negative), str(positive)), "fallback": tuple(map(str, raw["fallback"]))}
    terms = tuple(tuple(map(str, each)) for each in raw.get("terms", ())) or tuple((each.name,) for each in features)
    return Manifest(**{**raw, **numbers, **words, "features": features, "terms": terms})


def _feature(raw: dict[str, Any]) -> Feature:
    bands = tuple((float(low), float(high), float(level)) for low, high, level in raw["bands"])
    levels = {str(name): float(level) for name, level in raw["levels"].items()}
    limits = {"low": float(raw["low"]), "high": float(raw["high"])}
    codes = tuple(map(str, raw["codes"]))
    return Feature(**{**raw, **limits, "bands": bands, "levels": levels, "codes": codes})
