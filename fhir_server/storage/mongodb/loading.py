"""The door by which a move fills a store, and the databases under one prefix that it leaves or comes to."""

import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final
from urllib.parse import urlsplit

from pymongo import DeleteOne, ReadPreference, ReplaceOne, UpdateOne
from pymongo.asynchronous.database import AsyncDatabase

from fhir_server.settings import Settings
from fhir_server.storage.audit import AuditRow
from fhir_server.storage.base import BlobRef, Collection, Record
from fhir_server.storage.mongodb.audit import audit_document
from fhir_server.storage.mongodb.blobs import MongoBlobs
from fhir_server.storage.mongodb.connection import Server, client_of, concerns, faults, server_of
from fhir_server.storage.mongodb.document import INDEXED, OPEN, Document, document_of
from fhir_server.storage.mongodb.keys import Keys
from fhir_server.storage.mongodb.leading import lead
from fhir_server.storage.mongodb.leaving import MongoKept, left
from fhir_server.storage.mongodb.records import MongoRecords, name_of, record_document
from fhir_server.storage.mongodb.resilience import Guard
from fhir_server.storage.mongodb.rows import name_filter
from fhir_server.storage.mongodb.schema import MOVING, prepare
from fhir_server.storage.mongodb.store import open_store
from fhir_server.storage.mongodb.turns import Turns
from fhir_server.storage.mongodb.waiting import WAITING
from fhir_server.storage.moving import Arrival, Audited, KeptBlob, LogEnd, Served

_HEAD: Final = {"_id": "head"}
_WHOLE: Final = ("versions", "audit", WAITING, "blobs", "collections")


class MongoDoor(MongoKept):
    """A store that is filled by a move, and by nobody else.

    Steps are not transactions, which not all servers have: the head says how far they came, and the first step of a run
    takes back what stands beyond it.
    """

    indexes_all = True

    def __init__(self, database: AsyncDatabase[Document], server: Server, secret: bytes, turns: Turns) -> None:
        super().__init__(database, server, secret)
        self._keys, self._turns = Keys(secret), turns
        self._declared = MongoRecords(database)
        self.records = self._declared
        self._clean = False

    async def mark(self) -> str:
        """Return what an earlier run noted."""
        with faults():
            found = await self._database["meta"].find_one({"_id": MOVING})
        return str(found["mark"]) if found else ""

    async def put_mark(self, mark: str) -> None:
        """Note something, or that the move is done."""
        with faults():
            if mark:
                noted = {"_id": MOVING, "mark": mark}
                await self._database["meta"].replace_one({"_id": MOVING}, noted, upsert=True)
            else:
                await self._database["meta"].delete_one({"_id": MOVING})

    async def empty(self) -> bool:
        """Tell whether nothing was ever written."""
        head = await self._head()
        with faults():
            found = [await self._database[name].find_one({}, {"_id": 1}) for name in _WHOLE]
        return head["txid"] == 0 and head["audit"] == 0 and not any(found)

    async def take_versions(self, arrivals: Sequence[Arrival]) -> None:
        """Write versions with what searches look at, those that are superseded without."""
        with faults():
            head = await self._taken_back()
            fresh = [each for each in arrivals if each.version.pid > head["pid"]]
            if not fresh:
                return
            documents = [await self._turns.parted(self._document(each), None) for each in fresh]
            for type_ in {each["t"] for each in documents if "w" in each}:
                await self._turns.note_wide(type_)
            await self._database["versions"].insert_many(documents, ordered=False)
            if ended := [_ending(each) for each in fresh if each.supersedes]:
                await self._database["versions"].bulk_write(ended, ordered=True)
            last = fresh[-1].version
            moved = {"pid": last.pid, "txid": last.txid, "written": last.txid, "time": last.last_updated}
            await self._database["meta"].update_one(_HEAD, {"$set": moved})

    async def _taken_back(self) -> Document:
        """Remove what a run that was killed has written beyond the head."""
        head = await self._head()
        if not self._clean:
            beyond = {"_id": {"$gt": head["pid"]}}
            async for each in self._database["versions"].find(beyond, {"_id": 1}):
                await self._database["parts"].delete_many(
                    {"_id": {"$gte": f"{each['_id']}:", "$lt": f"{each['_id']};"}}
                )
            await self._database["versions"].delete_many(beyond)
            await self._database["audit"].delete_many({"_id": {"$gt": head["audit"]}})
            self._clean = True
        return head

    def _document(self, arrival: Arrival) -> Document:
        document = document_of(arrival.version, arrival.entries, self._keys)
        if arrival.ended is not None:
            for name in INDEXED:
                document.pop(name, None)
            document |= {"to": arrival.ended[0], "end": arrival.ended[1]}
        return document | ({"erased": True} if arrival.erased else {})

    async def declare(self, collection: Collection) -> None:
        """Make a record collection known."""
        await self._declared.declare(collection)

    async def take_records(self, collection: str, put: Sequence[Record], gone: Sequence[str]) -> None:
        """Write records with their revisions, and remove others."""
        with faults():
            declared = await self._declared.declared(collection)
            writes: list[Any] = [DeleteOne({"_id": key}) for key in gone]
            for each in put:
                document = record_document(declared, each.key, each.value, each.revision)
                writes.append(ReplaceOne({"_id": each.key}, document, upsert=True))
            await self._database[name_of(collection)].bulk_write(writes, ordered=False)

    async def take_audit(self, rows: Sequence[Audited], first: int) -> None:
        """Append audit rows as they are."""
        with faults():
            head = await self._taken_back()
            fresh = [each for each in rows if each[0].seq > head["audit"]]
            if first > 1:
                await self._database["meta"].update_one({"_id": "audit"}, {"$set": {"first": first}}, upsert=True)
            if fresh:
                documents = [
                    audit_document(each.seq, each.time, AuditRow(each.time, each.agent, each.body, keys))
                    for each, keys in fresh
                ]
                await self._database["audit"].insert_many(documents, ordered=False)
                last = fresh[-1][0]
                await self._database["meta"].update_one(_HEAD, {"$set": {"audit": last.seq, "audited": last.time}})

    async def take_blob(self, blob: KeptBlob, chunks: AsyncIterator[bytes]) -> BlobRef:
        """Write an attached blob under its id."""
        await self._blobs.remove([blob.ref.id])
        ref = await self._blobs.stage(chunks, blob.ref.id)
        with faults():
            await self._blobs.apply([{"id": ref.id, "attach": True, "patient": blob.patient}], None)
        return ref

    async def drop_blob(self, blob_id: str) -> None:
        """Remove a blob."""
        await self._blobs.remove([blob_id])

    async def seal(self, end: LogEnd) -> None:
        """Have the log end where it did, and the counters true."""
        counts = await self.standing()
        with faults():
            ended = {"txid": end.txid, "pid": end.pid, "time": end.time, "counts": counts}
            await self._database["meta"].update_one(_HEAD, {"$set": ended})


class MongoInstallation:
    """The databases `PREFIX_TENANT` that are left, or filled."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = client_of(settings)
        self._prefix = f"{settings.mongodb_database}_"
        self._holder = f"move:{secrets.token_hex(6)}"
        self._held = AsyncExitStack()
        self._server: Server | None = None
        self.label = f"mongodb://{urlsplit(settings.mongodb_url).netloc.rpartition('@')[2]}/{settings.mongodb_database}"

    async def tenants(self) -> list[str]:
        """Return the tenants that have a database."""
        with faults():
            names = await self._client.list_database_names()
        return sorted(name.removeprefix(self._prefix) for name in names if name.startswith(self._prefix))

    async def kept(self, tenant: str) -> MongoKept:
        """Open a store for reading alone."""
        database, server = await self._database(tenant)
        kept = await left(database, server)
        with faults():
            waits = await database[WAITING].find_one({}, {"_id": 1})
        if waits is not None:
            await self._number(database.name, server)
        return kept

    async def _number(self, name: str, server: Server) -> None:
        """Number the audit rows that wait: they belong to the log that is read."""
        guard = Guard(self._client, self._settings)
        store = await open_store(self._client, guard, server, name, self._settings, _milliseconds, self._holder)
        try:
            await store.audit.size()
        finally:
            await store.close()
            await guard.close()

    async def door(self, tenant: str) -> MongoDoor:
        """Open a store that is to be filled."""
        database, server = await self._database(tenant)
        with faults():
            sorts = self._settings.mongodb_sorts
            secret = await prepare(database, sharded=server.sharded, moving=True, sorts=sorts)
        return MongoDoor(database, server, secret, self._turns(database, server))

    async def remove(self, tenant: str) -> None:
        """Remove a store that was not filled to its end."""
        with faults():
            await self._client.drop_database(f"{self._prefix}{tenant}")

    async def need_idle(self) -> None:
        """See that no process leads here: every deployment that serves has one that does."""
        with faults():
            leases = self._client[self._settings.mongodb_database]["leases"]
            held = await leases.find_one({"until": {"$gt": time.time()}})
        if held is not None:
            raise Served(f"{self.label} is served: {held['holder']} leads {held['_id']!r}")

    async def claim(self) -> None:
        """Hold the lease of moves."""
        leases = self._client[self._settings.mongodb_database]["leases"]
        await self._held.enter_async_context(lead(leases, "move", self._holder, self._settings.mongodb_lease))

    async def close(self) -> None:
        """Let go, and close the client."""
        await self._held.aclose()
        await self._client.close()

    async def _database(self, tenant: str) -> tuple[AsyncDatabase[Document], Server]:
        if self._server is None:
            self._server = await server_of(self._client)
        options = concerns(self._settings, self._server) | {"read_preference": ReadPreference.PRIMARY}
        return self._client.get_database(f"{self._prefix}{tenant}", **options), self._server

    def _turns(self, database: AsyncDatabase[Document], server: Server) -> Turns:
        blobs = MongoBlobs(database)
        return Turns(database, blobs, self._holder, transactions=server.transactions, lease=1)


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000


def _ending(arrival: Arrival) -> UpdateOne:
    """Return what ends the version before one, should it have come in as the current one."""
    version = arrival.version
    before = {**name_filter(version.key), "v": version.version - 1, "to": OPEN}
    ended = {"to": version.txid, "end": version.last_updated}
    return UpdateOne(before, {"$set": ended, "$unset": dict.fromkeys(INDEXED, "")})
