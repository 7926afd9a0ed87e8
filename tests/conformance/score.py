"""How much of an official suite holds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Score:
    """The result of one suite; `floor` is the share below which `scripts/check conformance` fails."""

    name: str
    right: int
    total: int
    floor: float
    misses: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Return what holds of the whole, from 0 to 1."""
        return self.right / self.total if self.total else 0.0

    @property
    def enough(self) -> bool:
        """Tell whether the floor is reached; a suite without cases proves nothing."""
        return self.total > 0 and self.share >= self.floor
