"""Records inside a commit group: the revisions and unique fields that its requests depend on, and what they write."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import apsw

from fhir_server.storage.base import RecordChange, RecordChanged
from fhir_server.storage.sqlite import bulk
from fhir_server.storage.sqlite.collections import Declared, load
from fhir_server.storage.sqlite.connection import fetch

Name = tuple[int, str]
"""The id of a collection and the key of a record."""
Field = tuple[int, Any]
"""The number of a field and a value."""

_NAMED: Final = "CROSS JOIN {} r ON r.collection=k.column1 AND r.key=k.column2"
_DELETE: Final = "DELETE FROM record WHERE collection=? AND key=?"
_UPDATE: Final = "UPDATE record SET revision=?, value=? WHERE collection=? AND key=?"
_DELETE_FIELD: Final = "DELETE FROM record_field WHERE collection=? AND key=? AND field=? AND value=?"
_TAKEN: Final = "SELECT key FROM record_field WHERE collection=? AND field=? AND value=?"


class RecordRows:
    """The records of one group. Revisions are read for all of it at once, and rows are written at its end."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._declared: dict[str, Declared] = {}
        self._stored: dict[Name, int] = {}
        self._fields: dict[Name, set[Field]] = {}
        self._now: dict[Name, int] = {}
        self._written: dict[Name, tuple[str, set[Field]] | None] = {}

    def learn(self, changes: Iterable[RecordChange]) -> None:
        """Read what is there of the records that are about to be written. Raises KeyError: an undeclared collection."""
        names = dict.fromkeys((self._collection(each.collection).id, each.key) for each in changes)
        unknown = [name for name in names if name not in self._now]
        if not unknown:
            return
        self._now |= dict.fromkeys(unknown, 0)
        flat = [part for name in unknown for part in name]
        for *name, revision in self._look_up("record", "r.collection,r.key,r.revision", flat):
            self._stored[tuple(name)] = self._now[tuple(name)] = revision
        there = [part for name in unknown if self._now[name] for part in name]
        for *name, field, value in self._look_up("record_field", "r.collection,r.key,r.field,r.value", there):
            self._fields.setdefault(tuple(name), set()).add((field, value))

    def check(self, changes: Sequence[RecordChange]) -> None:
        """Raise RecordChanged where an expected revision does not hold or a unique value is taken."""
        self.learn(changes)
        for change in changes:
            revision = self._now[self._name(change)]
            if change.expected is not None and revision != change.expected:
                raise RecordChanged(f"{change.collection}: {change.key} is at revision {revision}")
        self._check_unique(changes)

    def write(self, changes: Sequence[RecordChange]) -> None:
        """Take the records, which `check` has allowed."""
        for change in changes:
            name = self._name(change)
            if change.value is None:
                self._now[name], self._written[name] = 0, None
                continue
            text = json.dumps(change.value, ensure_ascii=False, separators=(",", ":"))
            self._now[name] += 1
            self._written[name] = text, set(self._collection(change.collection).values(change.value))

    def flush(self) -> None:
        """Write what was taken."""
        written, stored, connection = self._written, self._stored, self._connection
        connection.executemany(_DELETE_FIELD, [(*name, *field) for name, field in self._outdated()])
        connection.executemany(_DELETE, [name for name, each in written.items() if each is None and name in stored])
        there = [(self._now[name], each[0], *name) for name, each in written.items() if each and name in stored]
        connection.executemany(_UPDATE, there)
        fresh = [(name, each[0]) for name, each in written.items() if each and name not in stored]
        rows = [part for name, text in fresh for part in (*name, self._now[name], text)]
        bulk.insert(connection, "INSERT INTO record(collection,key,revision,value)", 4, rows)
        fields = [(*name, *field) for name, each in written.items() if each for field in self._added(name, each[1])]
        flat = [part for field in fields for part in field]
        bulk.insert(connection, "INSERT INTO record_field(collection,key,field,value)", 4, flat)
        self._settle()

    def _settle(self) -> None:
        for name, each in self._written.items():
            if each is None:
                self._stored.pop(name, None)
                self._fields.pop(name, None)
            else:
                self._stored[name], self._fields[name] = self._now[name], each[1]
        self._written.clear()

    def _outdated(self) -> Iterator[tuple[Name, Field]]:
        for name, each in self._written.items():
            for field in self._fields.get(name, ()):
                if each is None or field not in each[1]:
                    yield name, field

    def _added(self, name: Name, fields: set[Field]) -> set[Field]:
        return fields - self._fields.get(name, set())

    def _check_unique(self, changes: Sequence[RecordChange]) -> None:
        unique = [each for each in changes if self._collection(each.collection).unique()]
        if not unique:
            return
        self.flush()  # what is taken is looked for in SQL, which must see the requests before
        touched = {(change.collection, change.key) for change in changes}
        taken: set[tuple[str, int, Any]] = set()
        for change in unique:
            collection = self._collection(change.collection)
            for number, value in collection.values(change.value or {}):
                if number not in collection.unique():
                    continue
                others = fetch(self._connection, _TAKEN, (collection.id, number, value))
                mark = (change.collection, number, value)
                if mark in taken or any((change.collection, key) not in touched for (key,) in others):
                    raise RecordChanged(f"{change.collection}: a unique value of {change.key} is taken")
                taken.add(mark)

    def _look_up(self, table: str, columns: str, flat: list[Any]) -> Iterator[Any]:
        return bulk.select(self._connection, columns, _NAMED.format(table), flat, 2)

    def _name(self, change: RecordChange) -> Name:
        return self._collection(change.collection).id, change.key

    def _collection(self, name: str) -> Declared:
        found = self._declared.get(name)
        if found is None:
            found = self._declared[name] = load(self._connection, name)
        return found
