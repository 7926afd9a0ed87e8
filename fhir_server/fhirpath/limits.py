"""Limits: how much one expression may cost before it is cut off."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on parsing and evaluation; a hostile expression runs into them within a second or so.

    Attributes:
        expression_length: characters of an expression.
        depth: nesting of an expression, and steps of one path in it.
        items: items in one collection.
        steps: items visited by `where`, `select`, `repeat`, `descendants` and the like, in all.
        seconds: time of one evaluation.
        text: characters of one string that a function builds.
        regex_seconds: time of all `matches` and `replaceMatches` of one evaluation.
    """

    expression_length: int = 100_000
    depth: int = 150
    items: int = 100_000
    steps: int = 1_000_000
    seconds: float = 5.0
    text: int = 1_000_000
    regex_seconds: float = 0.25


DEFAULT_LIMITS = Limits()
