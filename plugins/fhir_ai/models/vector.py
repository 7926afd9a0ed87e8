"""Vector: the values of a record as the columns of a model, or why they cannot be."""

import math
from dataclasses import dataclass

from fhir_ai.models.errors import MissingInput, OutsideCohort
from fhir_ai.models.manifest import Feature, Manifest
from fhir_ai.scores.score import Value, Values

GROUP = "disease_group"


@dataclass(frozen=True, slots=True)
class Vector:
    """The columns in order (NaN: missing), and the names of those that were missing."""

    columns: tuple[float, ...]
    missing: tuple[str, ...]


def vector_of(manifest: Manifest, values: Values) -> Vector:
    """Lay out values in the units of the features.

    Raises:
        OutsideCohort: the patient is not one of those that the model was trained on.
        MissingInput: a required value is missing, or a value is implausible or of another kind.
    """
    _within_cohort(manifest, values)
    columns = tuple(_column(feature, values.get(feature.name)) for feature in manifest.features)
    missing = (feature.name for feature, each in zip(manifest.features, columns, strict=True) if math.isnan(each))
    return Vector(columns, tuple(missing))


def _within_cohort(manifest: Manifest, values: Values) -> None:
    if manifest.setting == "inpatient" and values.get("inpatient") is not True:
        raise OutsideCohort(f"it was trained on {manifest.cohort}, and no inpatient encounter is known", "inpatient")
    age = values.get("age")
    known = isinstance(age, int | float) and not isinstance(age, bool)
    if known and not manifest.minimum_age <= float(age or 0) <= manifest.maximum_age:
        ages = f"{manifest.minimum_age:g} to {manifest.maximum_age:g} years"
        raise OutsideCohort(f"it was trained on {manifest.cohort}, aged {ages}", "age")
    group = next((each for each in manifest.features if each.name == GROUP), None)
    if group is not None and str(values.get(GROUP)) not in group.levels:
        raise OutsideCohort(f"it was trained on {manifest.cohort}: {', '.join(group.levels)}", GROUP)


def _column(feature: Feature, value: Value | None) -> float:
    if value is None:
        if feature.required:
            raise MissingInput(f"{feature.title} is missing", feature.name)
        return math.nan
    if feature.levels:
        return _level(feature, value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not feature.low <= value <= feature.high:
        unit = f" {feature.unit}" if feature.unit else ""
        raise MissingInput(f"{feature.title} is {feature.low:g} to {feature.high:g}{unit}", feature.name)
    return _banded(feature, float(value)) if feature.bands else float(value)


def _level(feature: Feature, value: Value) -> float:
    named = str(value).lower() if isinstance(value, bool) else value
    if not isinstance(named, str) or named not in feature.levels:
        raise MissingInput(f"{feature.title} is one of {', '.join(feature.levels)}", feature.name)
    return feature.levels[named]


def _banded(feature: Feature, value: float) -> float:
    for low, high, level in feature.bands:
        if low <= value <= high:
            return level
    raise MissingInput(f"{feature.title} is a whole number", feature.name)
