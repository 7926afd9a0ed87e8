"""Records: a MongoDB collection for each of ours, `r.NAME`.

_id: the key. r: revision. v: the value as JSON, as it was given. f: its declared fields, which the server indexes.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from pymongo import IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from fhir_server.storage.base import Collection, Record, RecordField, Where
from fhir_server.storage.mongodb.compile import prefix
from fhir_server.storage.mongodb.connection import faults
from fhir_server.storage.mongodb.document import Document
from fhir_server.storage.mongodb.resilience import Guard, reading
from fhir_server.storage.mongodb.schema import build, made

_OPERATORS: Final = {"=": "$eq", "<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}


class MongoRecords:
    """Records of one store."""

    def __init__(self, database: AsyncDatabase[Document], guard: Guard | None = None) -> None:
        self.guard = guard
        self._database = database
        self._declared: dict[str, Collection] = {}

    @reading
    async def get(self, collection: str, key: str) -> Record | None:
        """Return one record. Raises KeyError for a collection that was not declared."""
        with faults():
            return await self.read(collection, key)

    async def read(self, collection: str, key: str, session: AsyncClientSession | None = None) -> Record | None:
        """Return one record as a write sees it."""
        await self.declared(collection)
        found = await self._database[name_of(collection)].find_one({"_id": key}, session=session)
        return _record(found) if found else None

    @reading
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
        declared = await self.declared(collection)
        down, name = (-1, order[1:]) if order.startswith("-") else (1, order)
        parts = [_condition(declared, one) for one in where]
        with faults():
            if name == "key":
                if after is not None:
                    parts.append({"_id": {"$lt" if down < 0 else "$gt": after}})
                return await self._page(collection, parts, [("_id", down)], (offset, limit))
            if after is not None:
                raise ValueError("`after` goes with order by key only")
            return await self._by_field(collection, parts, (_field(declared, name), down), (offset, limit))

    async def _by_field(
        self, collection: str, parts: list[Document], order: tuple[str, int], place: tuple[int, int]
    ) -> list[Record]:
        """Return the records that have the field in its order, then those that have not."""
        (field, down), (offset, limit) = order, place
        having = [*parts, {field: {"$exists": True}}]
        found = await self._page(collection, having, [(field, down), ("_id", 1)], place)
        if len(found) < limit:
            before = await self._database[name_of(collection)].count_documents({"$and": having}) if offset else 0
            rest = [*parts, {field: {"$exists": False}}]
            left = (max(offset - before, 0), limit - len(found))
            found += await self._page(collection, rest, [("_id", 1)], left)
        return found

    async def _page(
        self, collection: str, parts: list[Document], order: list[tuple[str, int]], place: tuple[int, int]
    ) -> list[Record]:
        offset, limit = place
        match = {"$and": parts} if parts else {}
        found = self._database[name_of(collection)].find(match).sort(order).skip(offset).limit(limit)
        return [_record(each) async for each in found] if limit > 0 else []

    @reading
    async def collections(self) -> list[Collection]:
        """Return the collections that were ever declared, sorted by name."""
        with faults():
            found = [_collection(each) async for each in self._database["collections"].find()]
        return sorted(found, key=lambda each: each.name)

    async def declared(self, name: str) -> Collection:
        """Return a declared collection. Raises KeyError."""
        if name not in self._declared:
            found = await self._database["collections"].find_one({"_id": name})
            if found is None:
                raise KeyError(name)
            self._declared[name] = _collection(found)
        return self._declared[name]

    def known(self, name: str) -> Collection:
        """Return a collection that this process has declared or asked about."""
        return self._declared[name]

    @reading
    async def declare(self, collection: Collection) -> None:
        """Make a collection known; where its fields changed, those of its records are taken anew."""
        with faults():
            found = await self._database["collections"].find_one({"_id": collection.name})
            if found is None or _collection(found) != collection:
                await self._indexed(collection)
                if found is not None and _collection(found).fields != collection.fields:
                    await self._refill(collection)
                await self._write(collection)
        self._declared[collection.name] = collection

    async def _write(self, collection: Collection) -> None:
        """Write what a collection is; another process may do so at the same time."""
        described = _described(collection)
        try:
            await self._database["collections"].replace_one({"_id": collection.name}, described, upsert=True)
        except DuplicateKeyError:
            await self._database["collections"].replace_one({"_id": collection.name}, described)

    async def _indexed(self, collection: Collection) -> None:
        """Uniqueness is held by the turn to write, so the index need not be unique."""
        await made(self._database, name_of(collection.name))
        if indexes := [IndexModel([(f"f.{each.name}", 1), ("_id", 1)]) for each in collection.fields]:
            await build(self._database[name_of(collection.name)], indexes)

    async def _refill(self, collection: Collection) -> None:
        rows = self._database[name_of(collection.name)]
        async for each in rows.find():
            fields = fields_of(collection, json.loads(each["v"]))
            await rows.update_one({"_id": each["_id"], "r": each["r"]}, {"$set": {"f": fields}})


def name_of(collection: str) -> str:
    """Return the name of the MongoDB collection."""
    return f"r.{collection}"


def fields_of(collection: Collection, value: Mapping[str, object]) -> dict[str, list[object]]:
    """Return the values of the declared fields; a list in a record is several."""
    found: dict[str, list[object]] = {}
    for each in collection.fields:
        given = value.get(each.name)
        values = [one for one in (given if isinstance(given, list | tuple) else [given]) if one is not None]
        if values:
            found[each.name] = values
    return found


def record_document(collection: Collection, key: str, value: Mapping[str, object], revision: int) -> Document:
    """Return a record as it is stored."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return {"_id": key, "r": revision, "v": text, "f": fields_of(collection, value)}


def _record(found: Document) -> Record:
    return Record(found["_id"], json.loads(found["v"]), found["r"])


def _field(collection: Collection, name: str) -> str:
    if name not in {each.name for each in collection.fields}:
        raise KeyError(f"{collection.name!r} has no declared field {name!r}")
    return f"f.{name}"


def _condition(collection: Collection, one: Where) -> Document:
    if one.field == "key":
        return {"_id": _test(one)}
    return {_field(collection, one.field): {"$elemMatch": _test(one)}}


def _test(one: Where) -> Document:
    if one.op == "in":
        return {"$in": list(one.value)}  # type: ignore[call-overload]
    if one.op == "prefix":
        return prefix(str(one.value))
    return {_OPERATORS[one.op]: one.value}


def _described(collection: Collection) -> Document:
    fields = [{"name": each.name, "kind": each.kind, "unique": each.unique} for each in collection.fields]
    return {"_id": collection.name, "fields": fields, "patient": collection.patient, "version": collection.version}


def _collection(found: Document) -> Collection:
    fields = tuple(RecordField(each["name"], each["kind"], each["unique"]) for each in found["fields"])
    return Collection(found["_id"], fields, found["patient"], found["version"])
