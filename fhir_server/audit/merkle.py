"""Merkle trees over a log that only grows: roots, inclusion and consistency proofs, and how they are checked.

Spec: https://www.rfc-editor.org/rfc/rfc9162#section-2.1
"""

from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256

Range = tuple[int, int]
Subtree = Callable[[int, int], Awaitable[bytes]]
"""The hash of a complete subtree: level (0: a leaf) and how many of its size stand before it."""

EMPTY = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of an entry."""
    return sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees."""
    return sha256(b"\1" + left + right).digest()


def inclusion(index: int, size: int) -> list[Range]:
    """Return the ranges of leaves whose hashes prove that a leaf is in a tree, nearest first.

    Spec: RFC 9162 2.1.3.1
    """
    low, high, found = 0, size, list[Range]()
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            found.append((middle, high))
            high = middle
        else:
            found.append((low, middle))
            low = middle
    return found[::-1]


def consistency(first: int, second: int) -> list[Range]:
    """Return the ranges whose hashes prove that a tree of `first` leaves is the beginning of one of `second`.

    Spec: RFC 9162 2.1.4.1
    """
    if not 0 < first < second:
        return []
    low, high, found, whole = 0, second, list[Range](), True
    while first != high:
        middle = low + _split(high - low)
        if first <= middle:
            found.append((middle, high))
            high = middle
        else:
            found.append((low, middle))
            low, whole = middle, False
    return ([] if whole else [(low, high)]) + found[::-1]


async def range_hash(low: int, high: int, subtree: Subtree) -> bytes:
    """Return the hash of a range as these functions name them: it begins where a subtree of its size may."""
    if high <= low:
        return EMPTY
    size = high - low
    if size & (size - 1) == 0:
        return await subtree(size.bit_length() - 1, low // size)
    middle = low + _split(size)
    return node_hash(await range_hash(low, middle, subtree), await range_hash(middle, high, subtree))


def included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Check an inclusion proof. Spec: RFC 9162 2.1.3.2"""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for step in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(step, found)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, step)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def consistent(first: int, second: int, roots: tuple[bytes, bytes], path: Sequence[bytes]) -> bool:
    """Check a consistency proof between two sizes with their roots. Spec: RFC 9162 2.1.4.2"""
    if first == second or first == 0:
        return not path and (first == 0 or roots[0] == roots[1])
    steps = [roots[0], *path] if first & (first - 1) == 0 else list(path)
    if first > second or not steps:
        return False
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, step)
        at, last = at >> 1, last >> 1
    return last == 0 and (old, new) == roots


class Growing:
    """A tree that leaves are added to, of which only the complete subtrees at its right edge are kept."""

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Add the hash of a leaf."""
        self._edge.append(leaf)
        self.size += 1
        size = self.size
        while size & 1 == 0:
            right = self._edge.pop()
            self._edge[-1] = node_hash(self._edge[-1], right)
            size >>= 1

    @property
    def root(self) -> bytes:
        """The hash of the whole tree."""
        if not self._edge:
            return EMPTY
        found = self._edge[-1]
        for left in self._edge[-2::-1]:
            found = node_hash(left, found)
        return found


def _split(size: int) -> int:
    """Return the largest power of two below a size."""
    return 1 << (size - 1).bit_length() - 1
