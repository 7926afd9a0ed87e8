"""The collections of a store and their indexes, made when it is opened for the first time."""

import secrets
from collections.abc import Sequence
from typing import Any, Final

from bson import Binary
from pymongo import IndexModel
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from fhir_server.storage.base import StorageFault
from fhir_server.storage.mongodb.document import Document
from fhir_server.storage.moving import HALF_MOVED

FORMAT: Final = 1
"""Rises when stored documents change their form."""

MOVING: Final = "moving"
"""The document of `meta` with what a move that is not finished has noted; nobody serves the store meanwhile."""

INDEXES: Final = (
    IndexModel([("h", 1), ("t", 1), ("i", 1), ("v", -1)], name="resource", unique=True),
    IndexModel([("t", 1), ("k", 1), ("_id", -1)], name="keys"),
    IndexModel([("k", 1), ("_id", -1)], name="any_keys"),
    IndexModel([("t", 1), ("s", 1)], name="strings"),
    IndexModel([("t", 1), ("d.p", 1), ("d.l", 1), ("d.h", 1)], name="dates"),
    IndexModel([("t", 1), ("n.p", 1), ("n.l", 1)], name="numbers"),
    IndexModel([("t", 1), ("q.p", 1), ("q.l", 1)], name="quantities"),
    IndexModel([("t", 1), ("to", -1), ("_id", -1)], name="current"),
    IndexModel([("t", 1), ("u", -1)], name="updated"),
    IndexModel([("x", 1), ("_id", 1)], name="log"),
    IndexModel([("to", 1)], name="ended"),
    IndexModel([("c", 1)], name="contained"),
)
AUDIT: Final = (IndexModel([("k", 1), ("_id", -1)], name="keys"), IndexModel([("u", 1)], name="time"))
BLOBS: Final = (IndexModel([("patient", 1)], name="patient"), IndexModel([("staged", 1)], name="staged"))

_HEAD: Final[dict[str, Any]] = {
    "_id": "head", "txid": 0, "pid": 0, "time": 0, "written": 0, "counts": {}, "audit": 0, "audited": 0,
    "epoch": 0, "holder": "", "until": 0.0, "format": FORMAT,
}  # fmt: skip


async def prepare(database: AsyncDatabase[Document], *, sharded: bool, moving: bool = False) -> bytes:
    """Make what is missing; return the secret that keys are hashed with.

    Raises:
        StorageFault: documents of a newer form, or a store that was moved here by half, unless that goes on (moving).
    """
    await _need_format(database, moving=moving)
    for name, indexes in (("versions", INDEXES), ("audit", AUDIT), ("blobs", BLOBS)):
        await _index(database, name, indexes)
    if sharded:
        await _shard(database)
    secret = await _once(database, {"_id": "secret", "b": Binary(secrets.token_bytes(32))})
    await _once(database, dict(_HEAD))
    return bytes(secret["b"])


async def _need_format(database: AsyncDatabase[Document], *, moving: bool) -> None:
    found = {each["_id"]: each async for each in database["meta"].find({"_id": {"$in": ["head", MOVING]}})}
    format_ = found.get("head", _HEAD).get("format", FORMAT)
    if format_ > FORMAT:
        raise StorageFault(
            f"the database {database.name} has format {format_}, but this server knows up to {FORMAT}: it was written "
            "by a newer release; install that one, or restore a backup made before it"
        )
    if MOVING in found and not moving:
        raise StorageFault(f"{database.name}: {HALF_MOVED}")


async def _index(database: AsyncDatabase[Document], name: str, indexes: Sequence[IndexModel]) -> None:
    """Make the indexes that are missing; making one again locks a large collection on some servers."""
    have = {index["name"] async for index in await database[name].list_indexes()}
    missing = [index for index in indexes if index.document["name"] not in have]
    if missing:
        await database[name].create_indexes(missing)


async def _once(database: AsyncDatabase[Document], document: Document) -> Document:
    """Write a document unless somebody else has; return the one that is there."""
    found = await database["meta"].find_one({"_id": document["_id"]})
    if found is None:
        try:
            await database["meta"].insert_one(document)
        except DuplicateKeyError:
            return await _once(database, document)
        return document
    return found


async def _shard(database: AsyncDatabase[Document]) -> None:
    """Spread versions by a hash of type and id, so that one tenant uses all shards; a read by id asks one of them."""
    admin = database.client.admin
    await admin.command("enableSharding", database.name)
    for name, key in (("versions", {"h": 1, "t": 1, "i": 1}), ("chunks", {"_id": "hashed"})):
        await admin.command("shardCollection", f"{database.name}.{name}", key=key)
