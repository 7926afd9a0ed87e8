"""ADWIN: a window over a stream that shrinks when the mean of its older part differs from that of its newer one.

Bifet, Gavalda 2007, Learning from time-changing data with adaptive windowing, SIAM SDM
(https://doi.org/10.1137/1.9781611972771.42): ADWIN2, buckets of growing size, its normal approximation of the bound.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_PER_ROW: Final = 5
_CLOCK: Final = 32
_LEAST_PART: Final = 5
_LEAST: Final = 10


@dataclass(slots=True)
class _Bucket:
    """The count, sum and sum of squared deviations of values that came one after the other."""

    count: int
    total: float
    spread: float

    def joined(self, other: "_Bucket") -> "_Bucket":
        count = self.count + other.count
        gap = self.total / self.count - other.total / other.count
        return _Bucket(
            count, self.total + other.total, self.spread + other.spread + self.count * other.count / count * gap**2
        )


class Adwin:
    """One stream of numbers between 0 and 1.

    Args:
        delta: how likely a change is seen where there is none.
    """

    def __init__(self, delta: float = 0.002) -> None:
        self._delta, self._seen = delta, 0
        self._rows: list[list[_Bucket]] = [[]]
        self.changes = 0
        """How often the window was cut."""

    @property
    def width(self) -> int:
        """How many values the window holds."""
        return sum(bucket.count for bucket in self._oldest_first())

    @property
    def mean(self) -> float:
        """The mean of the window."""
        total = sum(bucket.total for bucket in self._oldest_first())
        return total / self.width if self.width else 0.0

    def update(self, value: float) -> bool:
        """Add a value; tell whether the stream has changed."""
        self._rows[0].append(_Bucket(1, value, 0.0))
        self._compress()
        self._seen += 1
        if self._seen % _CLOCK or self.width <= _LEAST:
            return False
        changed = False
        while self._cut():
            changed = True
        self.changes += changed
        return changed

    def _compress(self) -> None:
        """Join the two oldest buckets of a size where there are too many of it."""
        for at, row in enumerate(self._rows):
            if len(row) <= _PER_ROW:
                return
            if at + 1 == len(self._rows):
                self._rows.append([])
            self._rows[at + 1].append(row[0].joined(row[1]))
            del row[:2]

    def _cut(self) -> bool:
        """Drop the oldest bucket if some older part differs from the rest."""
        buckets = list(self._oldest_first())
        whole = buckets[0]
        for bucket in buckets[1:]:
            whole = whole.joined(bucket)
        old, total = 0, 0.0
        for bucket in buckets[:-1]:
            old, total = old + bucket.count, total + bucket.total
            new = whole.count - old
            parts = (old, total / old), (new, (whole.total - total) / new)
            if min(old, new) >= _LEAST_PART and self._differ(whole, *parts):
                self._drop()
                return True
        return False

    def _differ(self, whole: _Bucket, old: tuple[int, float], new: tuple[int, float]) -> bool:
        harmonic = 1 / (1 / (old[0] - _LEAST_PART + 1) + 1 / (new[0] - _LEAST_PART + 1))
        chance = math.log(2 * math.log(whole.count) / self._delta)
        variance = whole.spread / whole.count
        return abs(old[1] - new[1]) > math.sqrt(2 / harmonic * variance * chance) + 2 / 3 / harmonic * chance

    def _drop(self) -> None:
        row = next(row for row in reversed(self._rows) if row)
        del row[0]
        while len(self._rows) > 1 and not self._rows[-1]:
            self._rows.pop()

    def _oldest_first(self) -> Iterator[_Bucket]:
        for row in reversed(self._rows):
            yield from row
