"""Three-valued logic on plain conditions, and conditions on what a path finds."""

from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.fhirpath.equality import frozen
from fhir_server.fhirpath.paths import SPELT_DIFFERENTLY, NotPlain, Path, Test, Walk


def truth_of(source: Path) -> Test:
    """A path as a condition: what is there and is no boolean counts as true."""
    walk = source.walk

    def test(value: Any) -> bool | None:
        found = walk(value)
        if not found:
            return None
        if len(found) > 1 or isinstance(found[0], dict):
            raise NotPlain
        return found[0] if isinstance(found[0], bool) else True

    return test


def is_distinct(source: Path) -> Test:
    """`isDistinct()`.

    Raises:
        NotPlain: equal values may be written differently.
    """
    if not SPELT_DIFFERENTLY.isdisjoint(source.types):
        raise NotPlain
    walk = source.walk

    def test(value: Any) -> bool:
        found = walk(value)
        return len({frozen(part) for part in found}) == len(found)

    return test


def as_collection(test: Test) -> Walk:
    """A condition as a collection: one boolean, or nothing when unknown."""

    def walk(value: Any) -> list[Any]:
        found = test(value)
        return [] if found is None else [found]

    return walk


def negated(test: Test) -> Test:
    """`not()`."""

    def negate(value: Any) -> bool | None:
        found = test(value)
        return None if found is None else not found

    return negate


def _decided(decisive: bool) -> Callable[[Test, Test], Test]:
    """`and` (decided by a False) and `or` (decided by a True)."""

    def combine(left: Test, right: Test) -> Test:
        def test(value: Any) -> bool | None:
            first = left(value)
            if first is decisive:
                return decisive
            second = right(value)
            if second is decisive:
                return decisive
            return None if first is None or second is None else not decisive

        return test

    return combine


def _exclusive(left: Test, right: Test) -> Test:
    def test(value: Any) -> bool | None:
        first, second = left(value), right(value)
        return None if first is None or second is None else first is not second

    return test


_disjunction = _decided(True)
LOGICAL: Mapping[str, Callable[[Test, Test], Test]] = {
    "and": _decided(False),
    "or": _disjunction,
    "xor": _exclusive,
    "implies": lambda left, right: _disjunction(negated(left), right),
}
