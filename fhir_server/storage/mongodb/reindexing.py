"""Making what searches look at anew, from the bodies as they are."""

from collections.abc import Callable, Sequence
from contextlib import aclosing

from fhir_server.model.keys import ResourceKey
from fhir_server.search.entries import IndexEntries
from fhir_server.storage.mongodb.document import BODY_ALONE, INDEXED, Document, indexed, packed
from fhir_server.storage.mongodb.rows import Snapshot, name_filter
from fhir_server.storage.mongodb.turns import Turns

Extract = Callable[[str, bytes], IndexEntries]
"""Returns the entries of a stored body of a type."""


async def reindexed(
    snapshot: Snapshot, turns: Turns, types: Sequence[str], extract: Extract, progress: Callable[[int, int], None]
) -> int:
    """Reindex the current resources of some types, or of all if none is named; return how many."""
    match: Document = {"$and": [snapshot.current, {"t": {"$in": list(types)}} if types else {}]}
    done, of = 0, await snapshot.database["versions"].count_documents(match)
    async with aclosing(snapshot.documents(match, [("_id", 1)], fields=BODY_ALONE)) as documents:
        async for each in documents:
            await _reindexed(snapshot, turns, each, extract(each["t"], bytes(each["b"])))
            done += 1
            progress(done, of)
    return done


async def _reindexed(snapshot: Snapshot, turns: Turns, document: Document, entries: IndexEntries) -> None:
    key, body = ResourceKey(document["t"], document["i"]), packed(entries)
    made = indexed(entries, snapshot.compiler.keys, len(body))
    if "w" in made:
        await turns.note_wide(key.type)
    made |= await turns.parted_again({"_id": document["_id"], "e": body})
    gone = {name: "" for name in INDEXED if name not in made}
    named = {**name_filter(key), "_id": document["_id"]}
    await snapshot.database["versions"].update_one(named, {"$set": made} | ({"$unset": gone} if gone else {}))
