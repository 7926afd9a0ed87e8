"""Erasing versions beyond recovery by reading, and looking for what is left of them."""

from collections.abc import Sequence
from typing import Any

from bson import encode
from pymongo.asynchronous.database import AsyncDatabase

from fhir_server.model.keys import ResourceKey
from fhir_server.storage.mongodb.document import Document, is_live
from fhir_server.storage.mongodb.rows import name_filter


async def purge_superseded(database: AsyncDatabase[Document], keys: Sequence[ResourceKey], txid: int) -> int:
    """Erase the versions that were superseded as of a commit; a deletion that loses what it ended is marked. Return how
    many. What is marked as superseded by a write that is not published yet may still be the current one."""
    gone = 0
    for key in keys:
        found = [each async for each in _versions(database, key)]
        old = [each["_id"] for each in found if each["to"] <= txid]
        if old:
            last = {**name_filter(key), "gone": True}
            await database["versions"].update_many(last, {"$set": {"erased": True}})
            gone += await _remove(database, old)
    return gone


async def purge_all(database: AsyncDatabase[Document], key: ResourceKey) -> int:
    """Erase a resource with all of its versions; return how many."""
    found = [each async for each in _versions(database, key)]
    if any(is_live(each) and not each.get("gone") for each in found):
        await database["meta"].update_one({"_id": "head"}, {"$inc": {f"counts.{key.type}": -1}})
    return await _remove(database, [each["_id"] for each in found])


async def residue(database: AsyncDatabase[Document], probes: Sequence[bytes]) -> tuple[int, ...]:
    """Return how often each text stands in what the server gives out of its collections."""
    found = [0] * len(probes)
    for name in await database.list_collection_names():
        async for document in database[name].find():
            raw = encode(document)
            found = [number + raw.count(probe) for number, probe in zip(found, probes, strict=True)]
    return tuple(found)


def _versions(database: AsyncDatabase[Document], key: ResourceKey) -> Any:
    return database["versions"].find(name_filter(key), {"_id": 1, "to": 1, "gone": 1}).sort([("v", 1)])


async def _remove(database: AsyncDatabase[Document], pids: Sequence[int]) -> int:
    for pid in pids:
        await database["parts"].delete_many({"_id": {"$gte": f"{pid}:", "$lt": f"{pid};"}})
    return (await database["versions"].delete_many({"_id": {"$in": list(pids)}})).deleted_count
