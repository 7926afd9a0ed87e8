"""Model: a manifest and its graph; a prediction with what each input added, or why there is none."""

import asyncio
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from fhir_ai.models.errors import Kind, ModelError, ModelUnavailable
from fhir_ai.models.inference import Bounded, Graph, Output, Run
from fhir_ai.models.manifest import Manifest, checked_bytes
from fhir_ai.models.vector import Vector, vector_of
from fhir_ai.scores.score import Contribution, Values

TIMEOUT = 0.25
CONSTANT = "(constant)"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one patient.

    probability: 0 to 1, of the outcome within `horizon` days. contributions: terms whose sum is the logit of it.
    flagged: at or above the threshold of the card. possible: conformal set; both outcomes in it means uncertain.
    missing: inputs that had no value, for which the graph took its term for missing values.
    """

    probability: float
    contributions: tuple[Contribution, ...]
    version: str
    model: str
    sha256: str
    horizon: float
    flagged: bool
    possible: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotComputed:
    """Why there is no prediction: the patient is outside the cohort, an input is at fault, or the model is."""

    model: str
    version: str
    reason: str
    kind: Kind
    input: str = ""


class Model:
    """One model of the registry; its file is read, checked and loaded at the first prediction."""

    def __init__(self, folder: Path, manifest: Manifest, graph: Callable[[str, bytes], Run] = Graph) -> None:
        self.folder, self.manifest = folder, manifest
        self._graph = graph
        self._loading = Lock()
        self._bounded: Bounded | None = None

    def predict(self, values: Values, timeout: float = TIMEOUT) -> Prediction:
        """Predict from values in the units of the features; `timeout` in seconds.

        Raises:
            OutsideCohort: the patient is not one of those that it was trained on.
            MissingInput: a required value is missing, or a value is implausible.
            ModelUnavailable: the file, its hash, onnxruntime or the time is at fault.
        """
        vector = vector_of(self.manifest, values)
        output = self._loaded()(vector.columns, timeout)
        if not math.isfinite(output.probability) or len(output.terms) != len(vector.columns):
            raise ModelUnavailable(f"the model {self.manifest.name!r} gave no probability")
        return self._prediction(values, vector, output)

    def attempt(self, values: Values, timeout: float = TIMEOUT) -> Prediction | NotComputed:
        """Predict, or say why not; never raises."""
        try:
            return self.predict(values, timeout)
        except ModelError as error:
            return NotComputed(self.manifest.name, self.manifest.version, str(error), error.kind, error.input)

    async def ask(self, values: Values, within: float = TIMEOUT) -> Prediction | NotComputed:
        """Attempt in a thread within some seconds, so that a slow model or the first load holds nobody else up."""
        return await asyncio.to_thread(self.attempt, values, within)

    def card(self) -> Mapping[str, Any]:
        """Return the card that the training run wrote: data, licences, figures, limits.

        Raises:
            ModelUnavailable: the card is missing or damaged.
        """
        try:
            card: Mapping[str, Any] = json.loads((self.folder / "card.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelUnavailable(f"the card of the model {self.manifest.name!r} cannot be read") from error
        return card

    def _loaded(self) -> Bounded:
        with self._loading:
            if self._bounded is None:
                content = checked_bytes(self.folder, self.manifest)
                self._bounded = Bounded(self.manifest.name, self._graph(self.manifest.name, content))
            return self._bounded

    def _prediction(self, values: Values, vector: Vector, output: Output) -> Prediction:
        manifest = self.manifest
        return Prediction(
            probability=output.probability,
            contributions=self._contributions(values, output),
            version=manifest.version,
            model=manifest.name,
            sha256=manifest.sha256,
            horizon=manifest.horizon,
            flagged=output.probability >= manifest.threshold,
            possible=_possible(output.probability, manifest.conformal),
            missing=vector.missing,
        )

    def _contributions(self, values: Values, output: Output) -> tuple[Contribution, ...]:
        constant = Contribution(CONSTANT, None, self.manifest.intercept)
        pairs = zip(self.manifest.features, output.terms, strict=True)
        return (constant, *(Contribution(each.name, values.get(each.name), term, each.title) for each, term in pairs))


def _possible(probability: float, quantile: float) -> tuple[str, ...]:
    chances = (("survives", 1 - probability), ("dies", probability))
    return tuple(name for name, chance in chances if 1 - chance <= quantile)
