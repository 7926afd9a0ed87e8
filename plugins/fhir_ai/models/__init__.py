"""Models: trained files with their cards, loaded only when their hash holds, each prediction with its contributions."""

from fhir_ai.models.errors import MissingInput, ModelError, ModelUnavailable, OutsideCohort
from fhir_ai.models.manifest import Manifest, read_manifest
from fhir_ai.models.model import Model, NotComputed, Prediction
from fhir_ai.models.registry import MODELS, models_in

__all__ = [
    "MODELS",
    "Manifest",
    "MissingInput",
    "Model",
    "ModelError",
    "ModelUnavailable",
    "NotComputed",
    "OutsideCohort",
    "Prediction",
    "models_in",
    "read_manifest",
]
