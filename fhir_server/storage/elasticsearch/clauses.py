"""The parts that queries of Elasticsearch are put together from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

Query = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Clause:
    """What to ask (None: nothing is left out), and whether the answer is exactly what the tree means.

    single: fields for which that is so only if none of what is found has several values there: the two ends of an
    interval stand apart in the index.
    """

    query: Query | None
    exact: bool = False
    single: frozenset[str] = frozenset()


LOOSE: Final = Clause(None)
ALL: Final = Clause(None, exact=True)
NONE: Final = Clause({"match_none": {}}, exact=True)


def every(parts: Sequence[Query]) -> Query:
    """Return the query for what all of some find."""
    return parts[0] if len(parts) == 1 else {"bool": {"filter": list(parts)}}


def any_of(parts: Sequence[Query]) -> Query:
    """Return the query for what any of some finds."""
    if not parts:
        return {"match_none": {}}
    return parts[0] if len(parts) == 1 else {"bool": {"should": list(parts), "minimum_should_match": 1}}


def among(name: str, values: Iterable[str], *, exact: bool = True) -> Clause:
    """Return the clause for what has one of some terms."""
    found = sorted(set(values))
    return Clause({"terms": {name: found}}, exact) if found else NONE
