"""Sets of concept numbers as intervals: what a whole subtree of a large hierarchy comes to is one or few of them."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

Bounds = Sequence[int]
"""`[first, end, first, end, ...]`, rising; `end` is not in the interval, and no interval touches the next."""


class Intervals:
    """An immutable set of non-negative whole numbers.

    Args:
        bounds: as `Bounds` says; use `of_pairs` and `of_numbers` for anything else.
    """

    __slots__ = ("bounds",)

    def __init__(self, bounds: Bounds) -> None:
        # An array takes four bytes a bound where a list takes forty.
        self.bounds: array[int] = bounds if isinstance(bounds, array) else array("I", bounds)

    @classmethod
    def of_pairs(cls, pairs: Iterable[tuple[int, int]]) -> "Intervals":
        """Join intervals `(first, end)` of any order, which may overlap."""
        return cls(joined(pairs))

    @classmethod
    def of_numbers(cls, numbers: Iterable[int]) -> "Intervals":
        """Return the set of these numbers."""
        bounds: list[int] = []
        end = -1
        for number in sorted(set(numbers)):
            if number != end:
                bounds += (end, number)
            end = number + 1
        return cls([*bounds[1:], end] if bounds else ())

    @classmethod
    def of_bytes(cls, data: bytes) -> "Intervals":
        """Read what `to_bytes` wrote."""
        return cls(array("I", data))

    def to_bytes(self) -> bytes:
        """Return the bounds as 32-bit numbers of this machine."""
        return self.bounds.tobytes()

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Yield each `(first, end)`."""
        each = iter(self.bounds)
        return zip(each, each, strict=True)

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(range(first, end) for first, end in self.pairs())

    def __contains__(self, number: int) -> bool:
        return bisect_right(self.bounds, number) % 2 == 1

    def __len__(self) -> int:
        return sum(self.bounds[1::2]) - sum(self.bounds[::2])

    def __bool__(self) -> bool:
        return bool(self.bounds)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Intervals) and self.bounds == other.bounds

    def __hash__(self) -> int:
        return hash(tuple(self.bounds))

    def __repr__(self) -> str:
        return f"Intervals({self.bounds!r})"

    def __or__(self, other: "Intervals") -> "Intervals":
        if not self.bounds or not other.bounds:
            return other if not self.bounds else self
        few, many = (self, other) if len(self.bounds) < len(other.bounds) else (other, self)
        if len(few.bounds) == 2:
            return many.with_range(*few.bounds)
        return Intervals.of_pairs(chain(self.pairs(), other.pairs()))

    def with_range(self, first: int, end: int) -> "Intervals":
        """Return this set with one more interval, which is not empty."""
        bounds = self.bounds
        low, high = bisect_left(bounds, first), bisect_right(bounds, end)
        inner = array("I", ([first] if low % 2 == 0 else []) + ([end] if high % 2 == 0 else []))
        return Intervals(bounds[:low] + inner + bounds[high:])

    def __and__(self, other: "Intervals") -> "Intervals":
        few, many = (self, other) if len(self.bounds) < len(other.bounds) else (other, self)
        found = array("I")
        for first, end in few.pairs():
            found += many.between(first, end)
        return Intervals(found)

    def __sub__(self, other: "Intervals") -> "Intervals":
        return self & other.inverse()

    def inverse(self, end: int = 2**31) -> "Intervals":
        """Return all numbers below `end` that are not in here."""
        bounds = self.bounds
        start = bounds[1:] if bounds and bounds[0] == 0 else array("I", (0, *bounds))
        if len(start) % 2:
            start.append(end)
        return Intervals(start)

    def between(self, first: int, end: int) -> "array[int]":
        """Return the bounds of what lies in one interval."""
        if first >= end:
            return array("I")
        bounds = self.bounds
        low, high = bisect_right(bounds, first), bisect_right(bounds, end - 1)
        inner = bounds[low:high]
        if low % 2:
            inner.insert(0, first)
        if high % 2:
            inner.append(end)
        return inner

    def slice(self, offset: int, count: int) -> "Intervals":
        """Return the members from position `offset` on, at most `count`."""
        found: list[int] = []
        for first, end in self.pairs():
            if offset >= end - first:
                offset -= end - first
                continue
            taken = min(end - first - offset, count)
            if taken <= 0:
                break
            found += [first + offset, first + offset + taken]
            count, offset = count - taken, 0
        return Intervals(found)


def joined(pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Return the bounds of the union."""
    bounds: list[int] = []
    end = -1
    for low, high in sorted(pairs):
        if low > end:
            bounds += [low, high]
            end = high
        elif high > end:
            bounds[-1] = end = high
    return bounds


EMPTY = Intervals(())
ALL = Intervals((0, 2**31))
