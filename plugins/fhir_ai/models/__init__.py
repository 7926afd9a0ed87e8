"""Models: trained files with their cards, loaded only when their hash holds, each prediction with its contributions."""

from fhir_ai.models.errors import MissingInput, ModelError, ModelRefused, ModelUnavailable, OutsideCohort
from fhir_ai.models.manifest import Manifest, read_manifest
from fhir_ai.models.model import Model, NotComputed, Prediction
from fhir_ai.models.package import Package, package_in
from fhir_ai.models.shipped import MODELS, models_in

__all__ = [
    "MODELS",
    "Manifest",
    "MissingInput",
    "Model",
    "ModelError",
    "ModelRefused",
    "ModelUnavailable",
    "NotComputed",
    "OutsideCohort",
    "Package",
    "Prediction",
    "models_in",
    "package_in",
    "read_manifest",
]
