"""Model: a manifest and its graph; a prediction with what each input added, or why there is none."""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

from fhir_ai.models.batching import Batches
from fhir_ai.models.errors import Kind, ModelError, ModelUnavailable
from fhir_ai.models.inference import Bounded, Graph, Output, Run
from fhir_ai.models.manifest import Manifest
from fhir_ai.models.package import Package
from fhir_ai.models.vector import Vector, vector_of
from fhir_ai.scores.score import Contribution, Values

TIMEOUT = 0.25
_LOADING = 30.0
CONSTANT = "(constant)"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one patient.

    probability: 0 to 1, of the outcome within `horizon` days. contributions: terms whose sum is the logit of it; none
    where the graph has none.
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
    """One version of a model; its file is read, checked and loaded at the first prediction."""

    def __init__(self, package: Package, graph: Callable[[str, bytes], Run] = Graph) -> None:
        self.package, self.manifest = package, package.manifest
        self._graph = graph
        self._loading = Lock()
        self._bounded: Bounded | None = None
        self._batches: Batches | None = None

    def predict(self, values: Values, timeout: float = TIMEOUT) -> Prediction:
        """Predict from values in the units of the features; `timeout` in seconds.

        Raises:
            OutsideCohort: the patient is not one of those that it was trained on.
            MissingInput: a required value is missing, or a value is implausible.
            ModelUnavailable: the file, its hash, onnxruntime or the time is at fault.
        """
        vector = vector_of(self.manifest, values)
        return self._prediction(values, vector, self._loaded()(vector.columns, timeout))

    def attempt(self, values: Values, timeout: float = TIMEOUT) -> Prediction | NotComputed:
        """Predict, or say why not; never raises."""
        try:
            return self.predict(values, timeout)
        except ModelError as error:
            return NotComputed(self.manifest.name, self.manifest.version, str(error), error.kind, error.input)

    async def ask(self, values: Values, within: float = TIMEOUT) -> Prediction | NotComputed:
        """Attempt beside the event loop within some seconds, so that a slow model or the first load holds nobody up.

        What is asked for at the same time is computed in one run of the graph.
        """
        try:
            vector = vector_of(self.manifest, values)
            if self._batches is None:
                bounded = await asyncio.to_thread(self._loaded)
                self._batches = self._batches or Batches(self.manifest.name, bounded.many)
            return self._prediction(values, vector, await self._batches.ask(vector.columns, within))
        except ModelError as error:
            return NotComputed(self.manifest.name, self.manifest.version, str(error), error.kind, error.input)

    def card(self) -> Mapping[str, Any]:
        """Return the card that the training run wrote: data, licences, figures, limits.

        Raises:
            ModelUnavailable: the card is missing or damaged.
        """
        return self.package.card()

    @property
    def is_loaded(self) -> bool:
        """Tell whether its file was read and checked in this process."""
        return self._bounded is not None

    def load(self) -> None:
        """Read, check and load the file now, and compute once.

        Raises:
            ModelUnavailable: it cannot be used.
        """
        columns = [math.nan if not each.required else each.low for each in self.manifest.features]
        output = self._loaded()(columns, _LOADING)
        if not math.isfinite(output.probability) or len(output.terms) not in (0, len(self.manifest.terms)):
            raise ModelUnavailable(f"the model {self.manifest.name!r} gives no probability with a term for each input")

    def _loaded(self) -> Bounded:
        with self._loading:
            if self._bounded is None:
                self._bounded = Bounded(self.manifest.name, self._graph(self.manifest.name, self.package.checked()))
            return self._bounded

    def _prediction(self, values: Values, vector: Vector, output: Output) -> Prediction:
        manifest = self.manifest
        if not 0 <= output.probability <= 1 or len(output.terms) not in (0, len(self.manifest.terms)):
            raise ModelUnavailable(f"the model {manifest.name!r} gave no probability")
        return Prediction(
            probability=output.probability,
            contributions=self._contributions(values, output),
            version=manifest.version,
            model=manifest.name,
            sha256=manifest.sha256,
            horizon=manifest.horizon,
            flagged=output.probability >= manifest.threshold,
            possible=_possible(output.probability, manifest),
            missing=vector.missing,
        )

    def _contributions(self, values: Values, output: Output) -> tuple[Contribution, ...]:
        if not output.terms:
            return ()
        constant = Contribution(CONSTANT, None, self.manifest.intercept)
        titles = {each.name: each.title for each in self.manifest.features}
        found = [constant]
        for names, term in zip(self.manifest.terms, output.terms, strict=True):
            value = values.get(names[0]) if len(names) == 1 else None
            found.append(Contribution(" with ".join(names), value, term, " with ".join(titles[n] for n in names)))
        return tuple(found)


def _possible(probability: float, manifest: Manifest) -> tuple[str, ...]:
    chances = zip(manifest.classes, (1 - probability, probability), strict=True)
    return tuple(name for name, chance in chances if 1 - chance <= manifest.conformal)
