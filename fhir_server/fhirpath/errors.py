"""What can be wrong with an expression, or with its evaluation, and where in the expression."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Position:
    """A place in an expression: `offset` counts characters from 0, `line` and `column` from 1."""

    offset: int
    line: int
    column: int

    @staticmethod
    def of(expression: str, offset: int) -> "Position":
        """Find line and column of an offset."""
        line_start = expression.rfind("\n", 0, offset) + 1
        return Position(offset, expression.count("\n", 0, offset) + 1, offset - line_start + 1)


class FhirPathError(ValueError):
    """An expression that cannot be parsed, means nothing, or cannot be evaluated on what it was given.

    `position` is None until the place is known; `located` fills it in on the way out.
    """

    def __init__(self, message: str, position: Position | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.offset: int | None = position.offset if position else None

    def located(self, expression: str) -> "FhirPathError":
        """Turn the offset that the failing step left behind into a position."""
        if self.position is None and self.offset is not None:
            self.position = Position.of(expression, self.offset)
        return self

    def __str__(self) -> str:
        if self.position is None:
            return self.message
        return f"{self.message} (line {self.position.line}, column {self.position.column})"


class LimitExceeded(FhirPathError):
    """The evaluation was cut off because it would take more than a limit allows."""
