"""The write of the reference engine: check every precondition, then append."""

from collections.abc import Sequence
from dataclasses import dataclass

from fhir_server.model.json import same_content
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body, Version
from fhir_server.search.entries import IndexEntries
from fhir_server.search.query import And, Ids, Search
from fhir_server.storage.base import Change, ConditionChanged, MissingTargets, StillReferenced, VersionChanged, Written
from fhir_server.storage.memory.log import Log, Row
from fhir_server.storage.memory.search import found_keys


@dataclass(frozen=True, slots=True)
class Plan:
    """What a commit comes to: the rows to append and the answer to each change."""

    rows: tuple[Row, ...]
    written: tuple[Written, ...]


def plan_changes(log: Log, changes: Sequence[Change], txid: int, last_updated: int) -> Plan:
    """Check the preconditions and return the rows; changes nothing. Raises StoreError."""
    if len({change.key for change in changes}) != len(changes):
        raise ValueError("a commit changes a resource once")
    rows: list[Row] = []
    written: list[Written] = []
    for change in changes:
        _check_before(log, change)
        row = _new_row(log, change, (txid, log.next_pid + len(rows), last_updated))
        written.append(_answer(log, change, row))
        rows += [row] if row else []
    _check_after(log, changes, rows)
    return Plan(tuple(rows), tuple(written))


def _check_before(log: Log, change: Change) -> None:
    snapshot = log.at(log.last_txid)
    for condition in change.conditions:
        if found_keys(snapshot, condition.search) != condition.found:
            raise ConditionChanged(str(change.key))
    current = log.current(change.key)
    if change.expected is None:
        return
    if change.expected == 0:
        holds = current is None or current.version.deleted
    else:
        holds = current is not None and current.version.version == change.expected
    if not holds:
        raise VersionChanged(change.key, current.version.version if current else 0)


def _new_row(log: Log, change: Change, stamp: tuple[int, int, int]) -> Row | None:
    """Return the version to write, or None where there is nothing to change."""
    txid, pid, last_updated = stamp
    current = log.current(change.key)
    exists = current is not None and not current.version.deleted
    number = current.version.version + 1 if current else 1
    if change.method == "DELETE":
        if current is None or not exists:
            return None
        gone = Version(pid, change.key, number, txid, last_updated, "DELETE", Body(b"", 0))
        return Row(gone, current.entries)
    if current is not None and exists and not change.force and _same(current.version, change):
        return None
    return Row(Version(pid, change.key, number, txid, last_updated, change.method, change.body), change.entries)


def _same(current: Version, change: Change) -> bool:
    return same_content(current.body.data, change.body.data)


def _answer(log: Log, change: Change, row: Row | None) -> Written:
    current = log.current(change.key)
    if row is None:
        return Written(current.version if current else None, changed=False, created=False)
    created = change.method != "DELETE" and (current is None or current.version.deleted)
    return Written(row.version, changed=True, created=created)


def _check_after(log: Log, changes: Sequence[Change], rows: Sequence[Row]) -> None:
    """Check references against the state that the commit would leave."""
    after = {row.key: row for row in log.at(log.last_txid).rows()} | {row.key: row for row in rows}
    by_key = {change.key for change in changes}
    existing = {key: row for key, row in after.items() if not row.version.deleted}
    for change in changes:
        missing = [key for key in change.requires if key not in existing]
        if missing:
            raise MissingTargets(change.key, missing)
        if change.method == "DELETE" and change.keep_referenced:
            named = sorted(key for key, row in existing.items() if change.key in references(row.entries))
            referrers = [key for key in named if key in by_key or _heeded(log, change, key)]
            if referrers and log.at(log.last_txid).row(change.key):
                raise StillReferenced(change.key, referrers[:20])


def _heeded(log: Log, change: Change, key: ResourceKey) -> bool:
    """Tell whether a reference of this resource counts for a delete."""
    if change.heeding.unrestricted:
        return True
    search = Search({key.type: And((Ids((key.id,)), change.heeding.of(key.type)))})
    return bool(found_keys(log.at(log.last_txid), search))


def references(entries: IndexEntries) -> set[ResourceKey]:
    """Return what a resource, or one contained in it, refers to on this server."""
    inner = [row for _, _, contained in entries.contained for row in contained.references]
    return {
        ResourceKey(type_, id_)
        for _, type_, id_, _, _ in (*entries.references, *inner)
        if type_ is not None and type_ != "#" and id_ is not None
    }
