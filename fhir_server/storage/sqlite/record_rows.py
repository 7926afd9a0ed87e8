"""Writing of records inside a commit, and the revisions and unique fields that it depends on."""

import json
from collections.abc import Sequence
from typing import Any

import apsw

from fhir_server.storage.base import RecordChange, RecordChanged
from fhir_server.storage.sqlite.collections import Declared, load
from fhir_server.storage.sqlite.connection import fetch

_DELETE = "DELETE FROM record WHERE collection=? AND key=?"
_DELETE_FIELDS = "DELETE FROM record_field WHERE collection=? AND key=?"
_PUT = """
INSERT INTO record(collection, key, revision, value) VALUES(?,?,1,?)
ON CONFLICT(collection, key) DO UPDATE SET revision=revision+1, value=excluded.value
"""
_PUT_FIELD = "INSERT INTO record_field(collection, key, field, value) VALUES(?,?,?,?)"
_TAKEN = "SELECT key FROM record_field WHERE collection=? AND field=? AND value=?"


def check(connection: apsw.Connection, changes: Sequence[RecordChange]) -> None:
    """Raise RecordChanged where an expected revision does not hold or a unique value is taken."""
    declared = _declared(connection, changes)
    touched = {(change.collection, change.key) for change in changes}
    taken: set[tuple[str, int, Any]] = set()
    for change in changes:
        collection = declared[change.collection]
        if change.expected is not None:
            _check_revision(connection, collection, change)
        for number, value in collection.values(change.value or {}):
            if number not in collection.unique():
                continue
            others = fetch(connection, _TAKEN, (collection.id, number, value))
            mark = (change.collection, number, value)
            if mark in taken or any((change.collection, key) not in touched for (key,) in others):
                raise RecordChanged(f"{change.collection}: a unique value of {change.key} is taken")
            taken.add(mark)


def write(connection: apsw.Connection, changes: Sequence[RecordChange]) -> None:
    """Write the records, which `check` has allowed."""
    declared = _declared(connection, changes)
    for change in changes:
        collection = declared[change.collection]
        name = (collection.id, change.key)
        connection.execute(_DELETE_FIELDS, name)
        if change.value is None:
            connection.execute(_DELETE, name)
            continue
        text = json.dumps(change.value, ensure_ascii=False, separators=(",", ":"))
        connection.execute(_PUT, (*name, text))
        connection.executemany(_PUT_FIELD, [(*name, *field) for field in collection.values(change.value)])


def _check_revision(connection: apsw.Connection, collection: Declared, change: RecordChange) -> None:
    found = fetch(connection, "SELECT revision FROM record WHERE collection=? AND key=?", (collection.id, change.key))
    revision = found[0][0] if found else 0
    if revision != change.expected:
        raise RecordChanged(f"{change.collection}: {change.key} is at revision {revision}")


def _declared(connection: apsw.Connection, changes: Sequence[RecordChange]) -> dict[str, Declared]:
    return {name: load(connection, name) for name in {change.collection for change in changes}}
