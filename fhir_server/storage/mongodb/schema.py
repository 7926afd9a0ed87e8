"""The collections of a store and their indexes, made when it is opened for the first time."""

import logging
import secrets
from collections.abc import Sequence
from typing import Any, Final

from bson import Binary
from pymongo import IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, OperationFailure

from fhir_server.storage.base import StorageFault
from fhir_server.storage.mongodb.document import Document, sort_name
from fhir_server.storage.mongodb.rows import BY_NAME
from fhir_server.storage.mongodb.waiting import MARKS, WAITING
from fhir_server.storage.moving import HALF_MOVED

logger = logging.getLogger(__name__)

FORMAT: Final = 3
"""Rises when stored documents change their form, or indexes go that the release before makes again. Servers work on the
format before theirs as well, until `fhir-server upgrade finish` (docs/adr/0029).

1: the first. 2: the indexes of `OBSOLETE` are gone. 3: audit rows may wait for their numbers (`waiting`), which
releases before do not look for.
"""

NUMBERED_LATER: Final = 3
"""The format from which on audit rows of reads wait."""

MOVING: Final = "moving"
"""The document of `meta` with what a move that is not finished has noted; nobody serves the store meanwhile."""

_LATER: Final = (48, 238)
"""NamespaceExists, and NotImplemented, which FerretDB says of indexes over part of a collection."""


def _some(keys: Sequence[tuple[str, int]], name: str, *fields: str, **equal: bool) -> IndexModel:
    """Return an index over the documents that have some fields. Its queries must ask for them in so many words.

    Manual: https://www.mongodb.com/docs/manual/core/index-partial/#query-coverage
    """
    part = {field: {"$exists": True} for field in fields} | equal
    return IndexModel(keys, name=name, partialFilterExpression=part)


# An index covers one array of a document at most, so each kind of entry has its own, and none has two of them.
# https://www.mongodb.com/docs/manual/core/indexes/index-types/index-multikey/#compound-multikey-indexes
# The unique one begins with the shard key: https://www.mongodb.com/docs/manual/core/sharding-shard-key/#unique-indexes
INDEXES: Final = (
    IndexModel([("h", 1), ("t", 1), ("i", 1), ("v", -1)], name=BY_NAME, unique=True),
    IndexModel([("t", 1), ("k", 1), ("_id", -1)], name="keys"),
    IndexModel([("k", 1), ("_id", -1)], name="any_keys"),
    IndexModel([("t", 1), ("s", 1)], name="strings"),
    IndexModel([("t", 1), ("d.p", 1), ("d.l", 1), ("d.h", 1)], name="dates"),
    IndexModel([("t", 1), ("d.p", 1), ("d.h", 1)], name="dates_high"),
    _some([("t", 1), ("n.p", 1), ("n.l", 1)], "some_numbers", "n"),
    _some([("t", 1), ("q.p", 1), ("q.l", 1)], "some_quantities", "q"),
    _some([("t", 1), ("q.p", 1), ("q.h", 1)], "some_quantities_high", "q"),
    _some([("t", 1), ("q.p", 1), ("q.cl", 1)], "some_canonical", "q"),
    _some([("t", 1), ("g.p", 1), ("g.a", 1)], "some_positions", "g"),
    IndexModel([("t", 1), ("_id", -1)], name="types"),
    IndexModel([("t", 1), ("i", 1), ("_id", 1)], name="ids"),
    IndexModel([("t", 1), ("u", 1), ("_id", 1)], name="updates"),
    IndexModel([("x", 1), ("_id", 1)], name="log"),
    _some([("to", 1)], "superseded", "end"),
    _some([("end", 1)], "sweepable", "end", "k"),
    _some([("c", 1)], "containers", "c"),
    _some([("w", 1), ("t", 1), ("_id", -1)], "wide", w=True),
)
OBSOLETE: Final = ("numbers", "quantities", "current", "updated", "ended", "contained")
"""Indexes of `versions` that releases of format 1 make."""
WITHOUT_INDEXES: Final = (
    "meta",
    "parts",
    "chunks",
    "collections",
    "journal",
    "turns",
    "writers",
    "fates",
    WAITING,
    MARKS,
)
"""Collections are made before: https://www.mongodb.com/docs/manual/core/transactions-operations/"""
AUDIT: Final = (IndexModel([("k", 1), ("_id", -1)], name="keys"), IndexModel([("u", 1)], name="time"))
BLOBS: Final = (
    IndexModel([("patient", 1)], name="patient"),
    IndexModel([("staged", 1)], name="staged"),
    _some([("dropped", 1)], "dropped", dropped=True),
)
"""The sweep asks for what is staged or dropped: without an index for each of them it would look at every blob."""
FATES: Final = (IndexModel([("at", 1)], name="time"),)

_UNAUTHORIZED: Final = 13
_REPLICATED: Final = ("ReplicaSetWithPrimary", "Sharded")
_QUORUM_UNKNOWN: Final = (2, 72, 323, 40415)
"""BadValue, InvalidOptions, APIStrictError, and a field that the server does not know."""
_SHARDED: Final[dict[str, dict[str, Any]]] = {
    "versions": {"h": 1, "t": 1, "i": 1}, "parts": {"_id": "hashed"}, "chunks": {"_id": "hashed"},
}  # fmt: skip

_HEAD: Final[dict[str, Any]] = {
    "_id": "head", "txid": 0, "pid": 0, "time": 0, "written": 0, "counts": {}, "audit": 0, "audited": 0,
    "epoch": 0, "holder": "", "until": 0.0, "format": FORMAT,
}  # fmt: skip


def orders(sorts: Sequence[str]) -> list[IndexModel]:
    """Return the indexes for orders as `_sort` names them."""
    made = []
    for sort in dict.fromkeys(sorts):
        param, down = sort.removeprefix("-"), sort.startswith("-")
        field, way = f"z.{sort_name(param)}.{'d' if down else 'a'}", -1 if down else 1
        made.append(_some([("t", 1), (field, way), ("_id", way)], f"sort_{sort}", field))
    return made


async def prepare(
    database: AsyncDatabase[Document], *, sharded: bool, moving: bool = False, sorts: Sequence[str] = ()
) -> bytes:
    """Make what is missing; return the secret that keys are hashed with. `sorts`: orders that get an index.

    Raises:
        StorageFault: documents of a newer form, or a store that was moved here by half, unless that goes on (moving).
    """
    await _need_format(database, moving=moving)
    # To make one that is there would wait for its transactions.
    have = await database.list_collection_names()
    for name in (name for name in WITHOUT_INDEXES if name not in have):
        await made(database, name)
    wanted = {"versions": [*INDEXES, *orders(sorts)], "audit": AUDIT, "blobs": BLOBS, "fates": FATES}
    for name, indexes in wanted.items():
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
    if not missing:
        return
    try:
        await build(database[name], missing)
    except OperationFailure as error:
        if error.code == _LATER[1]:
            whole = [_whole(index) for index in missing]
            alike = [list(index["key"].items()) async for index in await database[name].list_indexes()]
            await _index(database, name, [each for each in whole if list(each.document["key"].items()) not in alike])
        elif not await _are_there(database, name, missing):  # another process may have made them meanwhile
            raise


async def build(collection: AsyncCollection[Document], indexes: Sequence[IndexModel]) -> None:
    """Build indexes, done once a majority has them.

    By default MongoDB waits for all members that vote: without end, while one of them is down and there are documents.
    Manual: https://www.mongodb.com/docs/manual/reference/command/createIndexes/#commit-quorum-vs-write-concern
    """
    if collection.database.client.topology_description.topology_type_name in _REPLICATED:
        try:
            await collection.create_indexes(indexes, commitQuorum="majority")
        except OperationFailure as error:
            if error.code not in _QUORUM_UNKNOWN:
                raise
        else:
            return
    await collection.create_indexes(indexes)


async def format_of(database: AsyncDatabase[Document]) -> int:
    """Return the format of a store."""
    head = await database["meta"].find_one({"_id": "head"})
    return int((head or _HEAD).get("format", FORMAT))


async def finish(database: AsyncDatabase[Document], sorts: Sequence[str] = ()) -> None:
    """Bring a store to the format of this release; doing it twice is once."""
    have = {index["name"] async for index in await database["versions"].list_indexes()}
    for old in sorted(have.intersection(OBSOLETE)):
        await database["versions"].drop_index(old)
    await _index(database, "versions", [*INDEXES, *orders(sorts)])
    await database["meta"].update_one({"_id": "head"}, {"$set": {"format": FORMAT}})


async def _are_there(database: AsyncDatabase[Document], name: str, indexes: Sequence[IndexModel]) -> bool:
    have = {index["name"] async for index in await database[name].list_indexes()}
    return have.issuperset(index.document["name"] for index in indexes)


def _whole(index: IndexModel) -> IndexModel:
    options = {name: value for name, value in index.document.items() if name not in ("key", "partialFilterExpression")}
    return IndexModel(list(index.document["key"].items()), **options)


async def made(database: AsyncDatabase[Document], name: str) -> None:
    """Make a collection that may be there."""
    try:
        await database.create_collection(name, check_exists=False)
    except OperationFailure as error:
        if error.code not in _LATER:
            raise


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
    """Spread versions by a hash of type and id, so that one tenant uses all shards; a read by id asks one of them.

    What is written in each turn, or found through it (head, records, audit), stays on the first shard of the tenant.
    Manual: https://www.mongodb.com/docs/manual/reference/command/shardCollection/
    """
    if await database["meta"].find_one({"_id": "sharded"}) is not None:
        return
    for name, key in _SHARDED.items():
        try:
            await database.client.admin.command("shardCollection", f"{database.name}.{name}", key=key)
        except OperationFailure as error:
            if error.code != _UNAUTHORIZED:
                raise
            logger.warning(
                "%s.%s stays on one shard, for the user may not shard it: have an administrator run "
                "sh.shardCollection with the key %s", database.name, name, key,
            )  # fmt: skip
            return
    await _once(database, {"_id": "sharded"})
