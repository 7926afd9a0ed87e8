"""Registry: the models beside this file, by name."""

import logging
from collections.abc import Mapping
from pathlib import Path

from fhir_ai.models.errors import ModelUnavailable
from fhir_ai.models.manifest import FILE, read_manifest
from fhir_ai.models.model import Model

_LOG = logging.getLogger(__name__)


def models_in(root: Path) -> Mapping[str, Model]:
    """Return the models of the folders of `root`; one with a damaged manifest is logged and left out."""
    models: dict[str, Model] = {}
    for path in sorted(root.glob(f"*/{FILE}")):
        try:
            manifest = read_manifest(path.parent)
        except ModelUnavailable as error:
            _LOG.warning("A model is left out: %s", error)
            continue
        models[manifest.name] = Model(path.parent, manifest)
    return models


MODELS: Mapping[str, Model] = models_in(Path(__file__).parent)
