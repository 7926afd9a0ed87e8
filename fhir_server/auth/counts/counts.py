"""Counts: how much was taken of each window, in a place that all processes which share a limit know."""

from dataclasses import dataclass
from typing import Protocol


class CountsAway(Exception):
    """The place does not answer; whoever asks counts for itself meanwhile."""


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time in which a limit counts: its number since 1970 and its length in seconds."""

    number: int
    period: int

    @property
    def ends(self) -> int:
        """Its end, seconds since 1970."""
        return (self.number + 1) * self.period


class Counts(Protocol):
    """The counts of all processes; nothing depends on them but the limits, so they may be lost."""

    async def take(self, name: str, window: Window, most: int, wanted: int) -> int:
        """Take up to `wanted` of what is left of the `most` of a window; return how many. Raises CountsAway."""

    async def close(self) -> None:
        """Let go of the place."""
