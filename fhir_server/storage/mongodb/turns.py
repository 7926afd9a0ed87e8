"""Turns to write: one at a time for each tenant, and what a turn that broke off left behind.

Everything that a turn writes bears txids above the `txid` of the head, so nobody sees it; moving the head publishes it
all at once. Where the server has transactions a turn is one, and the head is its lock as well; where it has none,
`fencing` gives the turn, and mends what one that broke off has left.
"""

import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pymongo
from bson import Binary
from pymongo import DeleteOne, InsertOne, ReplaceOne, ReturnDocument, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from fhir_server.model.version import Version
from fhir_server.storage.base import StoreUnavailable
from fhir_server.storage.mongodb.blobs import MongoBlobs
from fhir_server.storage.mongodb.document import LARGEST, Document
from fhir_server.storage.mongodb.fencing import FATES_LIFE, HEAD, Fence, Held, TurnLost
from fhir_server.storage.mongodb.records import name_of
from fhir_server.storage.mongodb.rows import name_filter, part_id
from fhir_server.storage.mongodb.waiting import Taken, remove

_MOVED: Final = ("txid", "pid", "time", "written", "audit", "audited", "noted")
_PIECE: Final = 8_000_000
"""Bytes of a part of a large document, or of the journal."""

Operation = InsertOne[Document] | UpdateOne | ReplaceOne[Document] | DeleteOne


@dataclass(slots=True)
class Turn:
    """A turn to write: where the log ends, and what is to be written.

    versions, ended: new documents, and (version, txid, time) of those they supersede. records: (collection, key,
    document or None). blobs: changes as documents. counts: by how many the current resources of each type change.
    wide: types of documents that lack what searches look at. taken: audit rows that waited for their numbers. held: the
    turn of a server without transactions. gate: the first version that was written, for those that follow it. moving:
    from now on it may be published; published: it is, whatever fails after it.
    """

    head: Document
    session: AsyncClientSession | None
    versions: list[Document] = field(default_factory=list)
    ended: list[tuple[Version, int, int]] = field(default_factory=list)
    records: list[tuple[str, str, Document | None]] = field(default_factory=list)
    blobs: list[Document] = field(default_factory=list)
    audit: list[Document] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    wide: set[str] = field(default_factory=set)
    taken: Taken | None = None
    held: Held | None = None
    gate: Document = field(default_factory=dict)
    moving: bool = False
    published: bool = False
    token: str = ""
    began: int = 0

    def __post_init__(self) -> None:
        """Note where the turn began, and its name."""
        self.began = self.txid
        self.token = self.held.token if self.held else secrets.token_hex(8)

    @property
    def txid(self) -> int:
        """The newest commit, those of this turn included."""
        return int(self.head["txid"])


class Turns:
    """Gives the turns of one tenant. `clock` is that of the machine, in seconds."""

    def __init__(
        self, database: AsyncDatabase[Document], blobs: MongoBlobs, holder: str, *, transactions: bool, lease: int
    ) -> None:
        self._database, self._blobs, self._transactions = database, blobs, transactions
        self._fence = Fence(database, holder, lease, self._complete)

    async def head(self, session: AsyncClientSession | None = None) -> Document:
        """Return where the log ends."""
        found = await self._database["meta"].find_one(HEAD, session=session)
        if found is None:
            raise StoreUnavailable("the store is not there")
        return found

    @asynccontextmanager
    async def hold(self, session: AsyncClientSession | None, patience: float) -> AsyncIterator[Turn]:
        """Hold the turn; whoever leaves without `publish` gives it back. Raises WriteBusy."""
        if self._transactions:
            found = await self._database["meta"].find_one_and_update(
                HEAD, {"$inc": {"epoch": 1}}, session=session, return_document=ReturnDocument.AFTER
            )
            if found is None:
                raise StoreUnavailable("the store is not there")
            yield Turn(found, session)
            return
        held = await self._fence.take(patience)
        # Nothing may be written once the lease is over, for then another holds the turn.
        with pymongo.timeout(held.left):
            yield Turn(held.head, None, held=held)

    async def settle(self, turn: Turn) -> bool:
        """Tell whether a turn that broke off was published: afterwards it is so for good.

        Raises:
            StoreUnavailable: it cannot be found out now; ask again.
        """
        if turn.held is not None:
            return await self._fence.settle(turn.held)
        return await self._decided(turn)

    async def _decided(self, turn: Turn) -> bool:
        """Tell how a transaction ended, which writes its fate: who writes another in its place waits for its end.

        One that is there may be what an earlier call wrote, whose answer was lost.
        """
        fates = self._database["fates"]
        try:
            await fates.insert_one({"_id": turn.token, "published": False, "at": time.time()})
        except DuplicateKeyError:
            found = await fates.find_one({"_id": turn.token})
            if found is None:  # not all members have it that must
                raise StoreUnavailable("how a write ended is not known yet") from None
            return bool(found["published"])
        return False

    async def tidy(self) -> None:
        """Mend what a turn of this process left that broke off, before somebody asks for the next one."""
        if not self._transactions:
            await self._fence.free(await self._fence.take(0))

    async def sweep(self) -> None:
        """Forget how turns ended that broke off long ago."""
        await self._database["fates"].delete_many({"at": {"$lt": time.time() - FATES_LIFE}})

    async def flush(self, turn: Turn) -> None:
        """Write the versions that are waiting, so that a search of this turn sees them."""
        session = turn.session
        large, turn.versions, ended, turn.ended = turn.versions, [], turn.ended, []
        documents = [await self.parted(document, session) for document in large]
        if documents:
            if not turn.gate:
                turn.gate = {"_id": documents[0]["_id"], "x": documents[0]["x"]}
            # In order: where the first one's place is barred, none of the others comes in.
            await self._database["versions"].insert_many(documents, ordered=not self._transactions, session=session)
        if ended:
            # With the shard key in it, only the shard that has it is asked.
            updates = [
                UpdateOne({**name_filter(old.key), "_id": old.pid}, {"$set": {"to": txid, "end": at}})
                for old, txid, at in ended
            ]
            if not self._transactions:
                # Where the first version was taken back its place is barred: this fails, and all that follows it.
                updates.insert(0, UpdateOne(turn.gate, {"$set": turn.gate}, upsert=True))
            await self._database["versions"].bulk_write(updates, ordered=not self._transactions, session=session)

    async def publish(self, turn: Turn) -> None:
        """Write all that is left and move the head.

        Raises:
            WriteBusy: the lease was over and another has the turn; nothing is stored.
        """
        await self.flush(turn)
        if turn.audit:
            rows = [{**row, "w": turn.head["epoch"]} for row in turn.audit]
            await self._database["audit"].insert_many(rows, ordered=not self._transactions, session=turn.session)
        if turn.taken is not None and turn.taken.names and turn.session is not None:
            await remove(self._database, turn.taken, turn.session)
        if self._transactions:
            await self._apply(turn.records, turn.blobs, turn.session, None)
            await self._moved(turn)
            return
        numbers = await self._journal(turn)
        await self._moved(turn)
        turn.published = True
        if numbers:
            await self._apply(turn.records, turn.blobs, None, turn.head["epoch"])
            await self._database["journal"].delete_many({"_id": {"$in": numbers}})
        await self.leave(turn)

    async def leave(self, turn: Turn) -> None:
        """Give the turn back."""
        if turn.held is not None:
            await self._fence.free(turn.held)

    async def _moved(self, turn: Turn) -> None:
        change: Document = {"$set": {name: turn.head[name] for name in _MOVED if name in turn.head}}
        if counts := {f"counts.{type_}": number for type_, number in turn.counts.items() if number}:
            change["$inc"] = counts
        if turn.wide:
            change["$addToSet"] = {"wide": {"$each": sorted(turn.wide)}}
        change["$set"]["last"] = turn.token
        if turn.session is not None:
            fate = {"_id": turn.token, "published": True, "at": time.time()}
            await self._database["fates"].insert_one(fate, session=turn.session)
        turn.moving = True
        match = {**HEAD, "epoch": turn.head["epoch"]}
        moved = await self._database["meta"].update_one(match, change, session=turn.session)
        if moved.matched_count == 0:
            raise TurnLost("the turn to write was over before the write was done")

    async def _journal(self, turn: Turn) -> list[str]:
        """Write down what must be done after the head has moved, in pieces that fit."""
        entries: list[Document] = []
        of_turn = {"token": turn.token, "epoch": turn.head["epoch"], "txid": turn.txid}
        size = _PIECE
        for name, key, document in turn.records:
            if size >= _PIECE:
                entries.append({"_id": f"{turn.token}:{len(entries):06d}", **of_turn, "records": [], "blobs": []})
                size = 0
            entries[-1]["records"].append({"name": name, "key": key, "document": document})
            size += 200 + (len(document["v"]) if document else 0)
        if turn.blobs:
            entries.append({"_id": f"{turn.token}:blobs", **of_turn, "records": [], "blobs": turn.blobs})
        if entries:
            await self._database["journal"].insert_many(entries)
        return [str(entry["_id"]) for entry in entries]

    async def _complete(self, written: Document) -> None:
        """Do what an entry of the journal says."""
        records = [(each["name"], each["key"], each["document"]) for each in written["records"]]
        await self._apply(records, written["blobs"], None, written.get("epoch", 0))

    async def _apply(
        self,
        records: Sequence[Sequence[Any]],
        blobs: Sequence[Document],
        session: AsyncClientSession | None,
        epoch: int | None,
    ) -> None:
        """Write records and blobs; doing it twice is once. Nothing that a turn of a later epoch wrote is changed."""
        by_name: dict[str, list[Operation]] = {}
        for name, key, document in records:
            match: Document = {"_id": key} if epoch is None else {"_id": key, "e": {"$not": {"$gt": epoch}}}
            marked = document if epoch is None or document is None else {**document, "e": epoch}
            operation: Operation = DeleteOne(match) if marked is None else ReplaceOne(match, marked, upsert=True)
            by_name.setdefault(name, []).append(operation)
        for name, operations in by_name.items():
            await self._database[name_of(name)].bulk_write(operations, ordered=True, session=session)
        await self._blobs.apply(blobs, session)

    async def note_wide(self, type_: str) -> None:
        """Note that a document of a type lacks what searches look at."""
        await self._database["meta"].update_one(HEAD, {"$addToSet": {"wide": type_}})

    async def parted_again(self, document: Document) -> Document:
        """Put what is too large into parts in the place of those that are there."""
        for name in set(document).intersection(("b", "e")):
            gone = {"$gte": f"{document['_id']}:{name}:", "$lt": f"{document['_id']}:{name};"}
            await self._database["parts"].delete_many({"_id": gone})
        return {name: value for name, value in (await self.parted(document, None)).items() if name != "_id"}

    async def parted(self, document: Document, session: AsyncClientSession | None) -> Document:
        """Put what is too large for one document into parts."""
        for name in set(document).intersection(("b", "e")):
            data = bytes(document[name])
            if len(data) > LARGEST:
                pieces = [data[start : start + _PIECE] for start in range(0, len(data), _PIECE)]
                parts = [
                    {"_id": part_id(document["_id"], name, number), "d": Binary(piece)}
                    for number, piece in enumerate(pieces)
                ]
                for part in parts:
                    await self._database["parts"].insert_one(part, session=session)
                document = {**document, name: len(parts)}
        return document
