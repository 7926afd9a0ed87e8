"""Merkle trees against the definitions of RFC 9162, word for word."""

from hashlib import sha256

import pytest

from fhir_server.audit.merkle import (
    EMPTY,
    Growing,
    consistency,
    consistent,
    included,
    inclusion,
    leaf_hash,
    range_hash,
)

LEAVES = [leaf_hash(b"%d" % number) for number in range(70)]


def split(size: int) -> int:
    return max(1 << power for power in range(8) if 1 << power < size)


def mth(leaves: list[bytes]) -> bytes:
    """Section 2.1.1"""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """Section 2.1.3.1"""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    return [*path(m, leaves[:k]), mth(leaves[k:])] if m < k else [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """Section 2.1.4.1"""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


async def subtree(level: int, index: int) -> bytes:
    return mth(LEAVES[index << level : (index + 1) << level])


async def hashes(ranges: list[tuple[int, int]]) -> list[bytes]:
    return [await range_hash(*each, subtree) for each in ranges]


async def test_a_growing_tree_has_the_root_of_the_definition() -> None:
    tree = Growing()
    assert tree.root == EMPTY
    for size, leaf in enumerate(LEAVES, 1):
        tree.add(leaf)
        assert tree.root == mth(LEAVES[:size]) == await range_hash(0, size, subtree)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 33, 70])
async def test_inclusion_proofs_are_those_of_the_definition_and_hold(size: int) -> None:
    root = mth(LEAVES[:size])
    for index in range(size):
        proof = await hashes(inclusion(index, size))
        assert proof == path(index, LEAVES[:size])
        assert included(LEAVES[index], index, size, proof, root)
        assert not included(leaf_hash(b"other"), index, size, proof, root)
        assert not included(LEAVES[index], index, size, [*proof, root], root)
        assert not included(LEAVES[index], index, size, proof[:-1], root) or size == 1
        assert size == 1 or not included(LEAVES[index], (index + 1) % size, size, proof, root)


@pytest.mark.parametrize("second", [1, 2, 3, 7, 8, 9, 33, 70])
async def test_consistency_proofs_are_those_of_the_definition_and_hold(second: int) -> None:
    new = mth(LEAVES[:second])
    for first in range(1, second + 1):
        old = mth(LEAVES[:first])
        proof = await hashes(consistency(first, second))
        assert proof == (subproof(first, LEAVES[:second], True) if first < second else [])
        assert consistent(first, second, (old, new), proof)
        other = leaf_hash(b"other")
        assert not consistent(first, second, (other, new), proof)
        assert not consistent(first, second, (old, other), proof)
        assert first == second or not consistent(first, second, (old, new), [*proof, other])


def test_the_empty_tree_is_the_beginning_of_all() -> None:
    assert consistent(0, 5, (EMPTY, mth(LEAVES[:5])), [])
