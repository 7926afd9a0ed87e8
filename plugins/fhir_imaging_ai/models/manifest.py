"""Manifest: what a model of images is, which hash it has, and for which images it was made."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


class ModelRefused(Exception):
    """A model that is not used; the sentence says why and what to do."""


@dataclass(frozen=True, slots=True)
class Label:
    """One of the two things that a model tells apart. priority: of the task where it is the one that is possible."""

    key: str
    title: str
    priority: Literal["routine", "urgent", "asap", "stat"]


@dataclass(frozen=True, slots=True)
class Manifest:
    """One version of a model.

    side: of the square picture that it takes. outputs: names of `probabilities` (n, 2), `activation` (n, 1, rows,
    columns) and `features` (n, m) of the graph. quantiles: of conformal sets, by label: a label is possible where one
    minus its probability is at most its quantile. mean, precision, most: of the features of pictures of its kind;
    a picture whose squared Mahalanobis distance is above `most` is not one. roughness: lowest and highest of such
    pictures, see looking/picture.py.
    """

    name: str
    version: str
    title: str
    file: str
    sha256: str
    demonstration: bool
    input: str
    side: int
    outputs: Mapping[str, str]
    labels: tuple[Label, Label]
    positive: int
    quantiles: tuple[float, float]
    modalities: tuple[str, ...]
    photometric: tuple[str, ...]
    least_side: int
    mean: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]
    most: float
    roughness: tuple[float, float]


def manifest_of(text: str, place: str) -> Manifest:
    """Read a manifest. Raises ModelRefused: it is none."""
    try:
        return _read(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelRefused(f"the manifest of the model {place!r} is damaged: {error}") from error


def _read(raw: Mapping[str, Any]) -> Manifest:
    first, second = (Label(str(each["key"]), str(each["title"]), each["priority"]) for each in raw["labels"])
    low, high = (float(each) for each in raw["conformal"]["quantiles"])
    if raw["positive"] not in (0, 1) or Path(raw["file"]).name != raw["file"]:
        raise ValueError("positive is 0 or 1, and the file lies beside the manifest")
    features = raw["features"]
    return Manifest(
        name=str(raw["name"]),
        version=str(raw["version"]),
        title=str(raw["title"]),
        file=str(raw["file"]),
        sha256=str(raw["sha256"]),
        demonstration=bool(raw.get("demonstration", False)),
        input=str(raw["input"]["name"]),
        side=int(raw["input"]["side"]),
        outputs={name: str(raw["outputs"][name]) for name in ("probabilities", "activation", "features")},
        labels=(first, second),
        positive=int(raw["positive"]),
        quantiles=(low, high),
        modalities=tuple(map(str, raw["modalities"])),
        photometric=tuple(map(str, raw["photometric"])),
        least_side=int(raw["least_side"]),
        mean=tuple(map(float, features["mean"])),
        precision=tuple(tuple(map(float, row)) for row in features["precision"]),
        most=float(features["most"]),
        roughness=(float(features["roughness"][0]), float(features["roughness"][1])),
    )
