"""Why a model gives no prediction."""

from typing import ClassVar, Literal

Kind = Literal["cohort", "input", "unavailable"]


class ModelError(Exception):
    """No prediction; `input` names the value at fault where one is."""

    kind: ClassVar[Kind] = "unavailable"

    def __init__(self, said: str, input_: str = "") -> None:
        super().__init__(said)
        self.input = input_


class OutsideCohort(ModelError):
    """The patient is not one of those that the model was trained on."""

    kind: ClassVar[Kind] = "cohort"


class MissingInput(ModelError):
    """A value that the model needs is missing, implausible, or of another kind."""

    kind: ClassVar[Kind] = "input"


class ModelUnavailable(ModelError):
    """The model cannot compute: its file, its hash, its runtime or its time is at fault, never the patient's data."""


class ModelRefused(ModelUnavailable):
    """A model that is not what it says: its hash, its signature or its form is wrong; `reason` is a short code."""

    def __init__(self, said: str, reason: str) -> None:
        super().__init__(said)
        self.reason = reason
