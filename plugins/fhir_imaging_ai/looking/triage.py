"""Triage: what a model says of an image, as a set of labels that are possible, and what follows from how many.

Split conformal prediction by class: Vovk, Gammerman, Shafer 2005; Angelopoulos, Bates 2021,
https://arxiv.org/abs/2107.07511. Class activation map: Zhou et al. 2016, https://arxiv.org/abs/1512.04150.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fhir_imaging_ai.looking.picture import Array, NotForModel, Seen, Square, roughness
from fhir_imaging_ai.models.loading import Loaded
from fhir_imaging_ai.models.manifest import Label, ModelRefused

Decision = Literal["prioritised", "needs-human", "refused"]


@dataclass(frozen=True, slots=True)
class Said:
    """What came of one image.

    possible: labels of the conformal set. chance: of the positive label. activation: where the model looked, 0 to 1,
    in the square that speaks most for it. reason: why it was refused.
    """

    decision: Decision
    possible: tuple[Label, ...] = ()
    chance: float = 0.0
    activation: Array | None = None
    square: Square | None = None
    reason: str = ""


class Runner:
    """A model that is ready to look. One thread for each run; onnxruntime releases the interpreter."""

    def __init__(self, model: Loaded) -> None:
        import onnxruntime  # heavy, and needed by who names a model alone

        self.manifest, self.card = model.manifest, model.card
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session: Any = onnxruntime.InferenceSession(
                model.content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors have no base of their own
            raise ModelRefused(f"onnxruntime refuses the file of the model {model.manifest.name!r}") from error

    def look(self, seen: Seen) -> Said:
        """Look at an image. Raises NotForModel: it is none of the kind that the model knows."""
        outputs = self.manifest.outputs
        wanted = [outputs["probabilities"], outputs["activation"], outputs["features"]]
        chances, activations, features = self._session.run(wanted, {self.manifest.input: seen.pictures})
        if not np.isfinite(chances).all():
            raise NotForModel("the model gave no number")
        most = int(np.argmax(chances[:, self.manifest.positive]))
        self._textured(seen.pictures[most, 0])
        away = self._distance(features[most])
        if away > self.manifest.most:
            raise NotForModel(
                f"it looks like none that the model knows (distance {away:.0f}, most {self.manifest.most:.0f})"
            )
        possible = self._possible(chances[most])
        return Said(
            _decision(possible),
            possible,
            float(chances[most, self.manifest.positive]),
            _scaled(activations[most, 0]),
            seen.squares[most],
            "" if possible else "no label is likely enough",
        )

    def _textured(self, picture: Array) -> None:
        low, high = self.manifest.roughness
        found = roughness(picture)
        if not low <= found <= high:
            raise NotForModel(
                f"its texture is none that the model knows (roughness {found:.3f}, {low:.3f} to {high:.3f})"
            )

    def _possible(self, chances: Array) -> tuple[Label, ...]:
        pairs = zip(self.manifest.labels, chances, self.manifest.quantiles, strict=True)
        return tuple(label for label, chance, quantile in pairs if 1 - float(chance) <= quantile)

    def _distance(self, features: Array) -> float:
        away = features.astype(np.float64) - np.asarray(self.manifest.mean)
        return float(away @ np.asarray(self.manifest.precision) @ away)


def _decision(possible: tuple[Label, ...]) -> Decision:
    if len(possible) == 1:
        return "prioritised"
    return "needs-human" if possible else "refused"


def _scaled(activation: Array) -> Array:
    """What speaks for the label, 0 to 1; what speaks against it is 0."""
    raised = np.maximum(activation, 0)
    most = float(raised.max())
    return np.asarray(raised / most if most > 0 else raised, np.float32)
