"""PixelFailure: why pixels could not be had, in a form that passes between processes."""

from typing import Literal

Kind = Literal["crashed", "timeout", "memory", "refused", "unsupported", "busy"]


class PixelFailure(Exception):
    """Pixels cannot be given.

    kind: `crashed`, `timeout`, `memory`: the worker was lost; `refused`: the bytes are damaged or not what they say;
    `unsupported`: this cannot be done with such an image; `busy`: too many wait.
    """

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind, self.text = kind, text
