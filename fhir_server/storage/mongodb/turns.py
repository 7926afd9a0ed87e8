"""Turns to write: one at a time for each tenant, and what a turn that broke off left behind.

Everything that a turn writes bears txids above the `txid` of the head, so nobody sees it; moving the head publishes it
all at once. Where the server has transactions a turn is one, and the head is its lock as well. Where it has none, who
inserts the one document of `turns` has it, and writes its name into the head. Who dies leaves both there, and the next
one, once the lease is over, takes back what was not published and completes what was.
"""

import asyncio
import random
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

from fhir_server.storage.base import StoreUnavailable, WriteBusy
from fhir_server.storage.mongodb.blobs import MongoBlobs
from fhir_server.storage.mongodb.document import LARGEST, OPEN, Document
from fhir_server.storage.mongodb.records import name_of
from fhir_server.storage.mongodb.rows import part_id

_HEAD: Final = {"_id": "head"}
_TURN: Final = {"_id": "turn"}
_FREE: Final = ""
_MOVED: Final = ("txid", "pid", "time", "written", "audit", "audited")
_FIRST_WAIT, _LONGEST_WAIT = 0.002, 0.1
_PART_OF_LEASE: Final = 0.8
"""The rest of a lease is for what is on its way when the time is up."""
_PIECE: Final = 8_000_000
"""Bytes of a part of a large document, or of the journal."""

Operation = InsertOne[Document] | UpdateOne | ReplaceOne[Document] | DeleteOne


@dataclass(slots=True)
class Turn:
    """A turn to write: where the log ends, and what is to be written.

    versions, ended: new documents, and (pid, txid, time) of those they supersede. records: (collection, key, document
    or None). blobs: changes as documents. counts: by how many the current resources of each type change.
    """

    head: Document
    session: AsyncClientSession | None
    versions: list[Document] = field(default_factory=list)
    ended: list[tuple[int, int, int]] = field(default_factory=list)
    records: list[tuple[str, str, Document | None]] = field(default_factory=list)
    blobs: list[Document] = field(default_factory=list)
    audit: list[Document] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    began: int = 0

    def __post_init__(self) -> None:
        """Note where the turn began."""
        self.began = self.txid

    @property
    def txid(self) -> int:
        """The newest commit, those of this turn included."""
        return int(self.head["txid"])


class Turns:
    """Gives the turns of one tenant. `clock` is that of the machine, in seconds."""

    def __init__(
        self, database: AsyncDatabase[Document], blobs: MongoBlobs, holder: str, *, transactions: bool, lease: int
    ) -> None:
        self._database, self._blobs, self._holder = database, blobs, holder
        self._transactions, self._lease = transactions, lease

    async def head(self, session: AsyncClientSession | None = None) -> Document:
        """Return where the log ends."""
        found = await self._database["meta"].find_one(_HEAD, session=session)
        if found is None:
            raise StoreUnavailable("the store is not there")
        return found

    @asynccontextmanager
    async def hold(self, session: AsyncClientSession | None, patience: float) -> AsyncIterator[Turn]:
        """Hold the turn; whoever leaves without `publish` gives it back. Raises WriteBusy."""
        if self._transactions:
            found = await self._database["meta"].find_one_and_update(
                _HEAD, {"$inc": {"epoch": 1}}, session=session, return_document=ReturnDocument.AFTER
            )
            if found is None:
                raise StoreUnavailable("the store is not there")
            yield Turn(found, session)
            return
        turn = Turn(await self._taken(patience), None)
        try:
            # Nothing may be written once the lease is over, for then another holds the turn.
            with pymongo.timeout(self._lease * _PART_OF_LEASE):
                yield turn
        except BaseException:
            await self._take_back(turn.head["epoch"])
            raise

    async def _taken(self, patience: float) -> Document:
        """Take the turn by inserting its document, which exactly one can; servers differ in how atomic an update is."""
        until, wait = time.monotonic() + patience, _FIRST_WAIT
        while not await self._inserted():
            if time.monotonic() > until:
                raise WriteBusy("the turn to write did not come")
            await asyncio.sleep(random.uniform(wait / 2, wait))  # noqa: S311 - spreads those who wait
            wait = min(wait * 2, _LONGEST_WAIT)
        before = await self.head()
        await self._database["meta"].update_one(_HEAD, {"$set": {"holder": self._holder}, "$inc": {"epoch": 1}})
        if before["holder"] != _FREE:
            await self.recover(before["txid"], before["audit"])
        return {**before, "epoch": before["epoch"] + 1}

    async def _inserted(self) -> bool:
        """Tell whether the turn was free; one whose lease is over is taken away first."""
        turns, now = self._database["turns"], time.time()
        try:
            await turns.insert_one({**_TURN, "holder": self._holder, "until": now + self._lease})
        except DuplicateKeyError:
            held = await turns.find_one(_TURN)
            if held is not None and held["until"] < now:
                await turns.delete_one({**_TURN, "holder": held["holder"], "until": held["until"]})
            return False
        return True

    async def _take_back(self, epoch: int) -> None:
        """Undo what was not published and give the turn back; should that fail, the next holder does it."""
        head = await self.head()
        if head["epoch"] == epoch and head["holder"] == self._holder:
            await self.recover(head["txid"], head["audit"])
            await self._freed(epoch)

    async def _freed(self, epoch: int) -> None:
        await self._database["meta"].update_one({**_HEAD, "epoch": epoch}, {"$set": {"holder": _FREE}})
        await self._database["turns"].delete_one({**_TURN, "holder": self._holder})

    async def recover(self, txid: int, audit: int) -> None:
        """Take back what was not published, and complete what was."""
        versions = self._database["versions"]
        lost = [each["_id"] async for each in versions.find({"x": {"$gt": txid}}, {"_id": 1})]
        for pid in lost:
            await self._database["parts"].delete_many({"_id": {"$gte": f"{pid}:", "$lt": f"{pid};"}})
        await versions.delete_many({"x": {"$gt": txid}})
        await versions.update_many({"to": {"$gt": txid, "$lt": OPEN}}, {"$set": {"to": OPEN}, "$unset": {"end": ""}})
        await self._database["audit"].delete_many({"_id": {"$gt": audit}})
        async for written in self._database["journal"].find().sort([("_id", 1)]):
            if written["txid"] <= txid:
                records = [(each["name"], each["key"], each["document"]) for each in written["records"]]
                await self._apply(records, written["blobs"], None)
            await self._database["journal"].delete_one({"_id": written["_id"]})

    async def flush(self, turn: Turn) -> None:
        """Write the versions that are waiting, so that a search of this turn sees them."""
        session = turn.session
        large, turn.versions, ended, turn.ended = turn.versions, [], turn.ended, []
        documents = [await self.parted(document, session) for document in large]
        if documents:
            await self._database["versions"].insert_many(documents, ordered=False, session=session)
        if ended:
            updates = [UpdateOne({"_id": pid}, {"$set": {"to": txid, "end": at}}) for pid, txid, at in ended]
            await self._database["versions"].bulk_write(updates, ordered=False, session=session)

    async def publish(self, turn: Turn) -> None:
        """Write all that is left and move the head.

        Raises:
            WriteBusy: the lease was over and another has the turn; nothing is stored.
        """
        await self.flush(turn)
        if turn.audit:
            await self._database["audit"].insert_many(turn.audit, ordered=False, session=turn.session)
        if self._transactions:
            await self._apply(turn.records, turn.blobs, turn.session)
            await self._moved(turn)
            return
        numbers = await self._journal(turn)
        await self._moved(turn)
        if numbers:
            await self._apply(turn.records, turn.blobs, None)
            await self._database["journal"].delete_many({"_id": {"$in": numbers}})
        await self.leave(turn)

    async def leave(self, turn: Turn) -> None:
        """Give the turn back."""
        await self._freed(turn.head["epoch"])

    async def _moved(self, turn: Turn) -> None:
        change: Document = {"$set": {name: turn.head[name] for name in _MOVED}}
        if counts := {f"counts.{type_}": number for type_, number in turn.counts.items() if number}:
            change["$inc"] = counts
        match = {**_HEAD, "epoch": turn.head["epoch"]}
        moved = await self._database["meta"].update_one(match, change, session=turn.session)
        if moved.matched_count == 0:
            raise WriteBusy("the turn to write was over before the write was done")

    async def _journal(self, turn: Turn) -> list[str]:
        """Write down what must be done after the head has moved, in pieces that fit."""
        entries: list[Document] = []
        size = _PIECE
        for name, key, document in turn.records:
            if size >= _PIECE:
                entries.append(
                    {"_id": f"{turn.txid:016d}:{len(entries):06d}", "txid": turn.txid, "records": [], "blobs": []}
                )
                size = 0
            entries[-1]["records"].append({"name": name, "key": key, "document": document})
            size += 200 + (len(document["v"]) if document else 0)
        if turn.blobs:
            number = f"{turn.txid:016d}:blobs"
            entries.append({"_id": number, "txid": turn.txid, "records": [], "blobs": turn.blobs})
        if entries:
            await self._database["journal"].insert_many(entries)
        return [str(entry["_id"]) for entry in entries]

    async def _apply(
        self, records: Sequence[Sequence[Any]], blobs: Sequence[Document], session: AsyncClientSession | None
    ) -> None:
        """Write records and blobs; doing it twice is once."""
        by_name: dict[str, list[Operation]] = {}
        for name, key, document in records:
            operation: Operation = (
                DeleteOne({"_id": key}) if document is None else ReplaceOne({"_id": key}, document, upsert=True)
            )
            by_name.setdefault(name, []).append(operation)
        for name, operations in by_name.items():
            await self._database[name_of(name)].bulk_write(operations, ordered=True, session=session)
        await self._blobs.apply(blobs, session)

    async def parted(self, document: Document, session: AsyncClientSession | None) -> Document:
        """Put what is too large for one document into parts."""
        for name in ("b", "e"):
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
