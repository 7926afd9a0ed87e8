"""What must hold before a commit writes anything, evaluated inside the write transaction."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import apsw

from fhir_server.model.keys import ResourceKey
from fhir_server.search.entries import IndexEntries
from fhir_server.search.query import And, Ids, Search, Visibility
from fhir_server.storage.base import Change, ConditionChanged, MissingTargets, StillReferenced, VersionChanged
from fhir_server.storage.sqlite.connection import fetch
from fhir_server.storage.sqlite.heads import Heads
from fhir_server.storage.sqlite.schema import CURRENT

_MOST_REFERRERS = 20

# A referrer is the owner of the index row, or what contains the owner.
_REFERRERS = f"""
SELECT DISTINCT t.name, r.id FROM ref x
LEFT JOIN contained c ON c.cid=x.pid
JOIN version v ON v.pid=coalesce(c.pid, x.pid) AND v.to_txid={CURRENT}
JOIN resource r ON r.rid=v.rid JOIN type t ON t.type=r.type
WHERE x.target=? AND x.param IN (SELECT param FROM ref_param)
"""


def check(
    connection: apsw.Connection,
    heads: Heads,
    changes: Sequence[Change],
    search_keys: Callable[[apsw.Connection, Search], set[ResourceKey]],
) -> None:
    """Evaluate every precondition of one request. Raises the StoreError of the first that does not hold."""
    for change in changes:
        if change.expected is not None:
            _check_expected(heads, change, change.expected)
        for condition in change.conditions:
            if search_keys(connection, condition.search) != condition.found:
                raise ConditionChanged(f"the search behind the write of {change.key} finds something else now")
    by_key = {change.key: change for change in changes}
    for change in changes:
        if change.requires:
            _check_requires(heads, change, by_key)
        if change.keep_referenced and change.method == "DELETE":
            heeded = partial(_heeded, partial(search_keys, connection), change.heeding)
            _check_unreferenced(connection, heads, change.key, (by_key, heeded))


def _check_expected(heads: Heads, change: Change, expected: int) -> None:
    head = heads.get(change.key)
    current = head.version.version if head else 0
    free = expected == 0 and (head is None or head.version.deleted)
    if not free and expected != current:
        raise VersionChanged(change.key, current)


def _check_requires(heads: Heads, change: Change, by_key: dict[ResourceKey, Change]) -> None:
    heads.learn(change.requires)
    missing = [
        key for key in change.requires if not (by_key[key].method != "DELETE" if key in by_key else heads.exists(key))
    ]
    if missing:
        raise MissingTargets(change.key, missing)


def _check_unreferenced(
    connection: apsw.Connection,
    heads: Heads,
    key: ResourceKey,
    others: tuple[dict[ResourceKey, Change], Callable[[ResourceKey], bool]],
) -> None:
    """`others`: the changes of this commit, and whether a resource beside them counts."""
    by_key, heeded = others
    head = heads.get(key)
    if head is None or head.version.deleted:
        return
    # What this commit itself writes is judged by what it will refer to, the rest by the index.
    referrers = [
        other for other, change in by_key.items() if change.method != "DELETE" and _refers(change.entries, key)
    ]
    for type_, id_ in fetch(connection, _REFERRERS, (head.rid,)):
        if len(referrers) == _MOST_REFERRERS:
            break
        if (other := ResourceKey(type_, id_)) not in by_key and heeded(other):
            referrers.append(other)
    if referrers:
        raise StillReferenced(key, sorted(referrers)[:_MOST_REFERRERS])


def _heeded(search_keys: Callable[[Search], set[ResourceKey]], heeding: Visibility, key: ResourceKey) -> bool:
    return heeding.unrestricted or bool(search_keys(Search({key.type: And((Ids((key.id,)), heeding.of(key.type)))})))


def _refers(entries: IndexEntries, key: ResourceKey) -> bool:
    return any(key == target for target in _targets(entries))


def _targets(entries: IndexEntries) -> Iterator[tuple[str | None, str | None]]:
    for entry in entries.references:
        yield entry[1], entry[2]
    for _, _, inner in entries.contained:
        yield from _targets(inner)
