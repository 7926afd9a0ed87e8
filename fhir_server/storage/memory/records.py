"""Records of the reference engine."""

import operator
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from fhir_server.storage.base import Collection, Record, RecordChange, RecordChanged, Where

_Table = dict[str, Record]


@dataclass(slots=True)
class MemoryRecords:
    """Declared collections and their records by key."""

    collections_by_name: dict[str, Collection] = field(default_factory=dict)
    tables: dict[str, _Table] = field(default_factory=dict)

    def declare(self, collection: Collection) -> None:
        """Make a collection known."""
        self.collections_by_name[collection.name] = collection
        self.tables.setdefault(collection.name, {})

    async def get(self, collection: str, key: str) -> Record | None:
        """Return one record. Raises KeyError for a collection that was not declared."""
        return _copy(self.tables[collection].get(key))

    async def find(
        self,
        collection: str,
        where: Sequence[Where] = (),
        *,
        order: str = "key",
        after: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Record]:
        """Return the records for which every condition holds; without the field of the order they come last."""
        self._check_fields(collection, [condition.field for condition in where if condition.field != "key"])
        if order.lstrip("-") != "key":
            self._check_fields(collection, [order.lstrip("-")])
        found = [r for r in self.tables[collection].values() if all(_holds(r, c) for c in where)]
        if after is not None:
            found = [r for r in found if r.key > after]
        return [copy for r in _in_order(found, order)[offset : offset + limit] if (copy := _copy(r)) is not None]

    async def collections(self) -> list[Collection]:
        """Return the declared collections."""
        return sorted(self.collections_by_name.values(), key=lambda each: each.name)

    def plan(self, changes: Sequence[RecordChange]) -> dict[str, _Table]:
        """Return the tables as they would be after the changes. Raises RecordChanged."""
        tables = {name: dict(table) for name, table in self.tables.items()}
        for change in changes:
            table = tables[change.collection]
            _apply(table, change)
            self._check_unique(table, change)
        return tables

    def _check_unique(self, table: _Table, change: RecordChange) -> None:
        if change.value is None:
            return
        for name in (f.name for f in self.collections_by_name[change.collection].fields if f.unique):
            value = change.value.get(name)
            if value is not None and any(r.key != change.key and r.value.get(name) == value for r in table.values()):
                raise RecordChanged(f"{change.collection}: {name} is taken")

    def _check_fields(self, collection: str, names: Sequence[str]) -> None:
        known = {f.name for f in self.collections_by_name[collection].fields}
        for name in names:
            if name not in known:
                raise KeyError(f"{collection} declares no field {name}")


def _apply(table: _Table, change: RecordChange) -> None:
    revision = table[change.key].revision if change.key in table else 0
    if change.expected is not None and change.expected != revision:
        raise RecordChanged(f"{change.collection}/{change.key} is at revision {revision}")
    if change.value is None:
        table.pop(change.key, None)
    else:
        table[change.key] = Record(change.key, deepcopy(dict(change.value)), revision + 1)


def _copy(record: Record | None) -> Record | None:
    return record and Record(record.key, deepcopy(dict(record.value)), record.revision)


def _holds(record: Record, where: Where) -> bool:
    value: Any = record.key if where.field == "key" else record.value.get(where.field)
    values = value if isinstance(value, list | tuple) else [value]
    return any(_TESTS[where.op](each, where.value) for each in values if each is not None)


_TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda value, wanted: value in wanted,
    "prefix": lambda value, wanted: value.startswith(wanted),
}


def _in_order(records: list[Record], order: str) -> list[Record]:
    """Sort by a field or the key; ties stand in the order of the key, whatever the direction."""
    name, descending = order.removeprefix("-"), order.startswith("-")
    by_key = sorted(records, key=lambda r: r.key)
    if name == "key":
        return by_key[::-1] if descending else by_key
    having = [r for r in by_key if r.value.get(name) is not None]
    having.sort(key=lambda r: r.value[name], reverse=descending)  # type: ignore[arg-type,return-value]  # as declared
    return having + [r for r in by_key if r.value.get(name) is None]
