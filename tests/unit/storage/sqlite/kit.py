"""Small changes and an opened record, for the tests of the SQLite engine's write side."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body
from fhir_server.search.entries import IndexEntries
from fhir_server.settings import Settings
from fhir_server.storage.base import Change
from fhir_server.storage.sqlite.store import SqliteStore, open_store

FAST = Settings(durable=False, reserve_bytes=0)
START = 1_700_000_000_000


class Clock:
    """A clock that a test moves."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def body(type_: str, id_: str, text: str = "") -> Body:
    """A stored body with some text."""
    head = f'{{"resourceType":"{type_}","id":"{id_}","meta":{{'
    return Body(f'{head}}},"text":"{text}"}}'.encode(), len(head))


def put(name: str, text: str = "", entries: IndexEntries | None = None, **fields: Any) -> Change:
    """A PUT of `Type/id`."""
    type_, id_ = name.split("/")
    return Change(ResourceKey(type_, id_), "PUT", body(type_, id_, text), entries or IndexEntries(), **fields)


def delete(name: str, **fields: Any) -> Change:
    """A DELETE of `Type/id`."""
    return Change(key(name), "DELETE", **fields)


def key(name: str) -> ResourceKey:
    """The key of `Type/id`."""
    return ResourceKey(*name.split("/"))


def refers(*names: str, param: str = "subject") -> IndexEntries:
    """Entries of a resource that refers to others."""
    return IndexEntries(references=[(param, *name.split("/"), None, None) for name in names])  # type: ignore[misc]


def rows(folder: Path, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """What stands in the tables."""
    connection = apsw.Connection(str(folder / "record.db"))
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


@asynccontextmanager
async def opened(folder: Path, settings: Settings = FAST, **options: Any) -> AsyncIterator[SqliteStore]:
    """A store, closed afterwards."""
    store = await open_store(folder, settings, **options)
    try:
        yield store
    finally:
        await store.close()
