"""Declared record collections, as the engine keeps them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import apsw

from fhir_server.storage.base import Collection, RecordField
from fhir_server.storage.sqlite.connection import fetch

_KINDS = {"text": str, "integer": int, "real": float}


@dataclass(frozen=True, slots=True)
class Declared:
    """A collection with the ids that its rows bear; `numbers` maps a field's name to its number."""

    id: int
    collection: Collection
    numbers: Mapping[str, int]

    def values(self, record: Mapping[str, object]) -> list[tuple[int, Any]]:
        """Return (field number, value) of each declared field that the record has."""
        return [
            (self.numbers[field.name], _KINDS[field.kind](value))
            for field in self.collection.fields
            for value in _several(record.get(field.name))
        ]

    def unique(self) -> frozenset[int]:
        """Return the numbers of the unique fields."""
        return frozenset(self.numbers[field.name] for field in self.collection.fields if field.unique)


def _several(value: Any) -> Sequence[Any]:
    """Return the values of a field, each once."""
    if value is None:
        return ()
    return tuple(dict.fromkeys(value)) if isinstance(value, list | tuple) else (value,)


def load(connection: apsw.Connection, name: str) -> Declared:
    """Return a declared collection. Raises KeyError if it is not declared."""
    for id_, text in fetch(connection, "SELECT collection, declared FROM collection WHERE name=?", (name,)):
        return _declared(id_, name, text)
    raise KeyError(f"record collection {name!r} is not declared")


@lru_cache(1024)
def _declared(id_: int, name: str, text: str) -> Declared:
    stored = json.loads(text)
    fields = tuple(RecordField(field["name"], field["kind"], field["unique"]) for field in stored["fields"])
    collection = Collection(name, fields, stored["patient"], stored["version"])
    return Declared(id_, collection, {field["name"]: field["number"] for field in stored["fields"]})


def declare(connection: apsw.Connection, collection: Collection) -> None:
    """Make a collection known; where its fields changed, index its records anew."""
    try:
        known = load(connection, collection.name)
    except KeyError:
        known = None
    if known and known.collection == collection:
        return
    numbers = _numbers(collection, known)
    text = json.dumps(_stored(collection, numbers))
    connection.execute(
        "INSERT INTO collection(name, declared) VALUES(?,?) ON CONFLICT(name) DO UPDATE SET declared=excluded.declared",
        (collection.name, text),
    )
    if known:
        _index_anew(connection, load(connection, collection.name))


def _numbers(collection: Collection, known: Declared | None) -> dict[str, int]:
    numbers = dict(known.numbers) if known else {}
    for field in collection.fields:
        numbers.setdefault(field.name, 1 + max(numbers.values(), default=0))
    return {field.name: numbers[field.name] for field in collection.fields}


def _stored(collection: Collection, numbers: Mapping[str, int]) -> dict[str, object]:
    fields = [
        {"name": field.name, "kind": field.kind, "unique": field.unique, "number": numbers[field.name]}
        for field in collection.fields
    ]
    return {"fields": fields, "patient": collection.patient, "version": collection.version}


def _index_anew(connection: apsw.Connection, declared: Declared) -> None:
    connection.execute("DELETE FROM record_field WHERE collection=?", (declared.id,))
    rows = fetch(connection, "SELECT key, value FROM record WHERE collection=?", (declared.id,))
    connection.executemany(
        "INSERT INTO record_field(collection, field, value, key) VALUES(?,?,?,?)",
        (
            (declared.id, number, value, key)
            for key, text in rows
            for number, value in declared.values(json.loads(text))
        ),
    )
