"""Resources: the Device that a version of a model is, and the DocumentReference that its card is.

Shape: https://build.fhir.org/ig/HL7/aitransparency-ig/ (AI-Device, AI-ModelCard)
"""

import base64
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from fhir_ai.models import Model
from fhir_ai.models.page import page
from fhir_server.plugin_api import instant

HOME: Final = "http://fhir-server.org"
MODEL: Final = f"{HOME}/ai-model"
CARD: Final = f"{HOME}/ai-model-card"


@dataclass(frozen=True, slots=True)
class Machine:
    """Who made an output: the Device and the card of a model in the record, its name and its version."""

    device: str
    card: str
    name: str
    version: str

    def author(self) -> dict[str, Any]:
        """Return the reference to the Device."""
        identifier = {"system": MODEL, "value": value_of(self.name, self.version)}
        shown = {"type": "Device", "identifier": identifier, "display": f"model {self.name} {self.version}"}
        return {"reference": self.device, **shown} if self.device else shown


def value_of(name: str, version: str) -> str:
    """Return the value of the identifiers of a version's Device and card."""
    return f"{name}-{version}"


def device_of(model: Model) -> dict[str, Any]:
    """Return the Device of a version of a model."""
    manifest = model.manifest
    versions = [("model", manifest.version), ("sha256 of the graph", manifest.sha256)]
    return {
        "resourceType": "Device",
        "identifier": [{"system": MODEL, "value": value_of(manifest.name, manifest.version)}],
        "status": "active",
        "deviceName": [{"name": manifest.name, "type": "model-name"}],
        "type": {"text": "machine-learned model, trained on patients; no published score"},
        "version": [{"type": {"text": text}, "value": value} for text, value in versions],
        "note": [{"text": f"{manifest.title}. Says: {manifest.outcome}. Holds for: {manifest.cohort}."}],
    }


def document_of(model: Model, device: str, now: int) -> dict[str, Any]:
    """Return the DocumentReference that is the card of a model, for people and for programs."""
    manifest = model.manifest
    texts = [("application/json", model.package.card_text)]
    with suppress(KeyError, TypeError, ValueError):  # a card of another form stays as it is
        texts.insert(0, ("text/markdown", page(dict(model.card()))))
    return {
        "resourceType": "DocumentReference",
        "identifier": [{"system": CARD, "value": value_of(manifest.name, manifest.version)}],
        "status": "current",
        "type": {"text": "AIModelCard"},
        "subject": {"reference": device},
        "date": instant(now),
        "description": f"Card of the model {manifest.name} {manifest.version}: {manifest.title}",
        "content": [{"attachment": _attachment(kind, text, manifest.title)} for kind, text in texts],
    }


def _attachment(kind: str, text: str, title: str) -> Mapping[str, Any]:
    return {"contentType": kind, "data": base64.b64encode(text.encode()).decode(), "title": title}
