"""Shipped: the models beside this file, by name, with the public key of their release."""

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from fhir_ai.models.errors import ModelUnavailable
from fhir_ai.models.manifest import FILE
from fhir_ai.models.model import Model
from fhir_ai.models.package import package_in

_LOG = logging.getLogger(__name__)
_HOME: Final = Path(__file__).parent


def models_in(root: Path, trusted: Iterable[str] | None = None) -> Mapping[str, Model]:
    """Return the models of the folders of `root`; one with a damaged manifest is logged and left out."""
    models: dict[str, Model] = {}
    keys = None if trusted is None else tuple(trusted)
    for path in sorted(root.glob(f"*/{FILE}")):
        try:
            package = package_in(path.parent, keys)
        except ModelUnavailable as error:
            _LOG.warning("A model is left out: %s", error)
            continue
        models[package.manifest.name] = Model(package)
    return models


RELEASE_KEY: Final[str] = json.loads((_HOME / "release.json").read_text(encoding="utf-8"))["key"]
"""Public key of the shipped models; its private half was thrown away when they were signed."""
MODELS: Final[Mapping[str, Model]] = models_in(_HOME, (RELEASE_KEY,))
