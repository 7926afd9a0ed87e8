"""A store as a move reads it: its log in order, its audit with the keys of each row, its blobs."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from hashlib import sha256
from typing import Any, Final

from pymongo.asynchronous.database import AsyncDatabase

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.storage.audit import AuditEntry, AuditLog, AuditRow
from fhir_server.storage.base import BlobRef, Records, StorageFault
from fhir_server.storage.mongodb.audit import MongoAudit
from fhir_server.storage.mongodb.blobs import MongoBlobs
from fhir_server.storage.mongodb.compile import Compiler
from fhir_server.storage.mongodb.connection import Server, faults
from fhir_server.storage.mongodb.document import OPEN, Document, version_of
from fhir_server.storage.mongodb.keys import Keys
from fhir_server.storage.mongodb.records import MongoRecords, name_of
from fhir_server.storage.mongodb.rows import Snapshot, name_filter
from fhir_server.storage.mongodb.schema import FORMAT, MOVING
from fhir_server.storage.moving import HALF_MOVED, Audited, KeptBlob, KeysOf, LogEnd, Logged

_LARGE: Final = 16_000_000
"""Bytes of bodies after which a page of the log ends."""

_FIELDS: Final = {"k": 0, "s": 0, "d": 0, "n": 0, "q": 0, "g": 0, "c": 0, "z": 0}
_NO_LIMIT: Final = 0


class MongoKept:
    """What a move reads of a store. Everything beyond the head is of a write that did not come about."""

    def __init__(self, database: AsyncDatabase[Document], server: Server, secret: bytes) -> None:
        self._database, self._secret = database, secret
        self._snapshot = Snapshot(database, Compiler(Keys(secret), nested=server.nested), 0, _NO_LIMIT)
        self._blobs = MongoBlobs(database)
        self.records: Records = MongoRecords(database)
        self.audit: AuditLog = MongoAudit(database, _refused, self._head)

    async def identity(self) -> str:
        """Return what is made of the secret of the store, which no other has."""
        return sha256(b"identity" + self._secret).hexdigest()[:32]

    async def end(self) -> LogEnd:
        """Return where the store ends."""
        head = await self._head()
        return LogEnd(head["txid"], head["pid"], head["time"], head["audit"], await self.audit.first())

    async def count(self) -> int:
        """Return how many versions there are."""
        head = await self._head()
        with faults():
            return int(await self._database["versions"].count_documents({"x": {"$lte": head["txid"]}}))

    async def standing(self) -> dict[str, int]:
        """Return how many versions of each type are current and no deletion."""
        head = await self._head()
        live = {"x": {"$lte": head["txid"]}, "to": {"$gt": head["txid"]}, "gone": {"$exists": False}}
        counted: list[Document] = [{"$match": live}, {"$group": {"_id": "$t", "number": {"$sum": 1}}}]
        with faults():
            found = await self._database["versions"].aggregate(counted)
            return {str(each["_id"]): int(each["number"]) async for each in found}

    async def others(self) -> int:
        """Return how many records and large objects there are."""
        names = [name_of(each.name) for each in await self.records.collections()]
        with faults():
            return sum([await self._database[name].count_documents({}) for name in ("blobs", *names)])

    async def log(self, after: int, limit: int) -> list[Logged]:
        """Return the next versions in the order of the log, which is that of their pids."""
        found, size = list[Logged](), 0
        head = await self._head()
        match: Document = {"_id": {"$gt": after}, "x": {"$lte": head["txid"]}}
        with faults():
            async with aclosing(self._snapshot.documents(match, [("_id", 1)], limit, _FIELDS)) as documents:
                async for each in documents:
                    found.append(_logged(each, head["txid"]))
                    size += len(found[-1].version.body.data)
                    if size > _LARGE:
                        break
        return found

    async def version(self, key: ResourceKey, number: int) -> Version | None:
        """Return one version."""
        found = await self._versions({**name_filter(key), "v": number})
        return found[0] if found else None

    async def current(self, type_: str) -> list[Version]:
        """Return all current resources of a type."""
        head = await self._head()
        return await self._versions(
            {"t": type_, "x": {"$lte": head["txid"]}, "to": {"$gt": head["txid"]}, "gone": {"$exists": False}}
        )

    async def _versions(self, match: Document) -> list[Version]:
        with faults():
            async with aclosing(self._snapshot.documents(match, [("_id", 1)], 0, _FIELDS)) as documents:
                return [version_of(each) async for each in documents]

    async def audited(self, first: int, last: int, keys_of: KeysOf) -> list[Audited]:
        """Return audit rows with their keys, as they are stored."""
        with faults():
            rows = self._database["audit"].find({"_id": {"$gte": first, "$lte": last}}).sort([("_id", 1)])
            return [(_entry(row), tuple(row["k"])) async for row in rows]

    async def blobs(self, after: str, limit: int) -> list[KeptBlob]:
        """Return the next attached blobs."""
        with faults():
            found = self._database["blobs"].find({"_id": {"$gt": after}, "attached": True}).sort([("_id", 1)])
            return [_blob(each) async for each in found.limit(limit)]

    async def blob(self, blob_id: str) -> AsyncIterator[bytes]:
        """Read an attached blob."""
        return await self._blobs.open(blob_id)

    async def close(self) -> None:
        """The client is that of the installation."""

    async def _head(self) -> Document:
        with faults():
            found = await self._database["meta"].find_one({"_id": "head"})
        return found or {"txid": 0, "pid": 0, "time": 0, "audit": 0}


async def left(database: AsyncDatabase[Document], server: Server) -> MongoKept:
    """Open a store for reading alone.

    Raises:
        KeyError: there is none.
        StorageFault: another format, a move into it that was not finished, or a write that broke off.
    """
    with faults():
        meta = {each["_id"]: each async for each in database["meta"].find({"_id": {"$in": ["head", "secret", MOVING]}})}
        waiting = await database["journal"].find_one({}, {"_id": 1})
    if "head" not in meta or "secret" not in meta:
        raise KeyError(database.name)
    if MOVING in meta:
        raise StorageFault(f"{database.name}: {HALF_MOVED}")
    if meta["head"].get("format", FORMAT) > FORMAT:
        raise StorageFault(f"the database {database.name} was written by a newer release: move it with that one")
    if waiting is not None:
        raise StorageFault(f"a write to {database.name} broke off: start its server once, which completes it")
    return MongoKept(database, server, bytes(meta["secret"]["b"]))


def _logged(document: Document, newest: int) -> Logged:
    to = document["to"]
    version = version_of(document)
    if to == OPEN or to > newest:
        return Logged(version, None)
    return Logged(version, (to, document.get("end", version.last_updated)))


def _entry(row: Document) -> AuditEntry:
    return AuditEntry(int(row["_id"]), int(row["u"]), row["a"], bytes(row["b"]))


def _blob(found: Document) -> KeptBlob:
    return KeptBlob(BlobRef(found["_id"], found["size"], found["sha256"]), found.get("patient"))


async def _refused(rows: Sequence[AuditRow]) -> Any:
    raise StorageFault("the audit log is open for reading only")
