"""Reading of records."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import apsw

from fhir_server.storage.base import Collection, Record, Where
from fhir_server.storage.sqlite.collections import Declared, load
from fhir_server.storage.sqlite.connection import fetch

T = TypeVar("T")
Run = Callable[[Callable[[apsw.Connection], T]], Awaitable[T]]

_LAST: Final = "\U0010ffff"  # after every other character, for the end of a prefix range


class SqliteRecords:
    """Records of one store; `run` executes a function on a read connection, in one snapshot.

    once: the same for what is one statement, which sees one state by itself.
    """

    def __init__(
        self, run: Callable[..., Awaitable[Any]], once: Callable[..., Awaitable[Any]] | None = None
    ) -> None:  # fmt: skip
        self._run, self._once = run, once or run

    async def get(self, collection: str, key: str) -> Record | None:
        """Return one record."""
        found: Record | None = await self._once(lambda connection: _get(connection, collection, key))
        return found

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
        """Return records in the order of a declared field (those without it last) or key."""
        found: list[Record] = await self._run(
            lambda connection: find_records(
                connection, load(connection, collection), where, order, after, (limit, offset)
            )
        )
        return found

    async def collections(self) -> list[Collection]:
        """Return the collections that were ever declared, sorted by name."""
        found: list[Collection] = await self._run(_collections)
        return found


def _collections(connection: apsw.Connection) -> list[Collection]:
    names = [row[0] for row in fetch(connection, "SELECT name FROM collection ORDER BY name")]
    return [load(connection, name).collection for name in names]


def _get(connection: apsw.Connection, collection: str, key: str) -> Record | None:
    rows = fetch(
        connection,
        "SELECT key, value, revision FROM record "
        "WHERE collection=(SELECT collection FROM collection WHERE name=?) AND key=?",
        (collection, key),
    )
    return _record(*rows[0]) if rows else None


def find_records(
    connection: apsw.Connection,
    declared: Declared,
    where: Sequence[Where],
    order: str,
    after: str | None,
    page: tuple[int, int],
) -> list[Record]:
    """Do `Records.find` on a connection; page: (limit, offset)."""
    down, field = order.startswith("-"), order.removeprefix("-")
    conditions, values = _conditions(declared, where)
    if after is not None:
        if field != "key":
            raise ValueError("`after` goes with order by key only")
        conditions.append(f"r.key {'<' if down else '>'} ?")
        values.append(after)
    text = " AND ".join(["r.collection=?", *conditions])
    direction = "DESC" if down else "ASC"
    if field == "key":
        sql = (
            f"SELECT r.key, r.value, r.revision FROM record r WHERE {text} ORDER BY r.key {direction} LIMIT ? OFFSET ?"
        )
        return [_record(*row) for row in fetch(connection, sql, (declared.id, *values, *page))]
    sql = (
        "SELECT r.key, r.value, r.revision FROM record r "
        "LEFT JOIN record_field o ON o.collection=r.collection AND o.field=? AND o.key=r.key "
        f"WHERE {text} ORDER BY o.value IS NULL, o.value {direction}, r.key LIMIT ? OFFSET ?"
    )
    return [_record(*row) for row in fetch(connection, sql, (_number(declared, field), declared.id, *values, *page))]


def _conditions(declared: Declared, where: Sequence[Where]) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    for one in where:
        comparison, operands = _comparison(one)
        if one.field == "key":
            conditions.append(comparison.replace("value", "r.key"))
            values += operands
            continue
        conditions.append(f"r.key IN (SELECT key FROM record_field WHERE collection=? AND field=? AND {comparison})")
        values += (declared.id, _number(declared, one.field), *operands)
    return conditions, values


def _comparison(one: Where) -> tuple[str, Sequence[Any]]:
    if one.op == "in":
        operands = tuple(one.value)  # type: ignore[arg-type, var-annotated]
        return f"value IN ({','.join('?' * len(operands))})", operands
    if one.op == "prefix":
        return "value >= ? AND value < ?", (one.value, f"{one.value}{_LAST}")
    return f"value {one.op} ?", (one.value,)


def _number(declared: Declared, field: str) -> int:
    try:
        return declared.numbers[field]
    except KeyError:
        raise KeyError(f"{declared.collection.name!r} has no declared field {field!r}") from None


def _record(key: str, value: str, revision: int) -> Record:
    return Record(key, json.loads(value), revision)
