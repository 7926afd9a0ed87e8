"""A replica set of one member, played in front of a server that has no transactions, with faults on demand.

It holds commands to what MongoDB's manual says of transactions and refuses what MongoDB refuses. Writes of a
transaction go through at once; what they replace is kept, and put back when the transaction is aborted. Until then
others neither read (they wait) nor write (they conflict) what it has touched. A snapshot is not played: a transaction
reads what is committed at the time of its read. It is no MongoDB: that it passes is needed, not enough.

Manual: https://www.mongodb.com/docs/manual/core/transactions-operations/
        https://www.mongodb.com/docs/manual/core/transactions-in-applications/
"""

import asyncio
import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from random import Random
from typing import Any, Final, Literal

import bson
from bson import Int64, Timestamp

from tests.servers import manual
from tests.servers.wire import Document, Message, answer, message, read

TRANSIENT: Final = "TransientTransactionError"
_IN_TRANSACTIONS: Final = {
    "find", "getMore", "insert", "update", "delete", "findAndModify", "aggregate", "killCursors", "commitTransaction",
    "abortTransaction",
}  # fmt: skip
_WRITES: Final = {"insert", "update", "delete", "findAndModify"}
_READS: Final = {"find", "aggregate", "count", "distinct"}
_OF_DRIVERS: Final = {
    "lsid", "txnNumber", "startTransaction", "autocommit", "readConcern", "writeConcern", "$clusterTime",
    "$readPreference", "maxTimeMS", "allowDiskUse", "recoveryToken", "apiVersion", "apiStrict",
    "apiDeprecationErrors",
}  # fmt: skip
_LARGEST: Final = 16 * 1024 * 1024
_MOST_SORTED: Final = 32
_STARTED: Final = 1_700_000_000
_PATIENCE: Final = 20.0

Kind = Literal["cut", "lost", "stepdown", "transient", "hang", "forgotten", "forbidden"]


class Refused(Exception):
    """What the server refuses, as its answer."""

    def __init__(self, code: int, said: str, *labels: str) -> None:
        super().__init__(said)
        self.answer: Document = {"ok": 0.0, "code": code, "errmsg": said, "codeName": said.split(":")[0]}
        if labels:
            self.answer["errorLabels"] = list(labels)


class Cut(Exception):
    """The connection ends here."""


@dataclass(slots=True)
class Fault:
    """What happens to a command: the connection is cut before it, or its answer is lost; the member steps down, or
    the transaction ends; or nothing more happens on this connection; the cursor is not known any more; the user may
    not do this. `after`: so many of these go through before."""

    command: str
    kind: Kind
    after: int = 0


@dataclass(slots=True)
class Transaction:
    """An open transaction, or what became of it: `undo` is what stood where it wrote."""

    session: bytes
    state: Literal["open", "committed", "aborted"] = "open"
    since: float = field(default_factory=time.monotonic)
    undo: list[tuple[str, str, Any, Document | None]] = field(default_factory=list)
    touched: dict[tuple[str, str], Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    async def run(self, body: Document) -> Document:
        self.writer.write(message(body, next(self.numbers)))
        await self.writer.drain()
        return (await read(self.reader)).body


class ReplicaSet:
    """Plays a set in front of the server at a port of this machine. `faults` are used up in their order."""

    def __init__(self, behind: int, lifetime: float = 60.0) -> None:
        self.port, self.lifetime = 0, lifetime
        self.faults: list[Fault] = []
        self.chaos: tuple[Random, float] | None = None
        self.seen: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.causal = self.hanging = self.streamed = 0
        self.refused: list[str] = []
        self.quorums: set[object] = set()
        self.oldest_event = 0
        self._behind = behind
        self._events: list[Document] = []
        self._streams: dict[int, list[Any]] = {}
        self._transactions: dict[tuple[bytes, int], Transaction] = {}
        self._answers: dict[tuple[bytes, int], Document] = {}
        self._locks: dict[tuple[str, str], Transaction] = {}
        self._indexes: dict[str, list[list[str]]] = {}
        self._named: dict[str, set[str]] = {}
        self._there: set[str] = set()
        self._numbers = count(1)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._stopping, self._never = asyncio.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._gate = asyncio.Lock()

    @property
    def url(self) -> str:
        """Its address; drivers find out the rest."""
        return f"mongodb://127.0.0.1:{self.port}/?replicaSet=played"

    def start(self) -> "ReplicaSet":
        """Begin to serve, on a thread of its own."""
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def stop(self) -> None:
        """End."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)

    def forget_events(self) -> None:
        """Have the log of changes begin now, so that older resume tokens lead nowhere."""
        self.oldest_event = len(self._events) + 1
        self._events.append({"forgotten": True})

    def _run(self) -> None:
        asyncio.run(self._served())

    async def _served(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 26)
        self.port = server.sockets[0].getsockname()[1]
        ending = asyncio.create_task(self._end_the_old())
        self._ready.set()
        await self._stopping.wait()
        server.close()
        others = {*asyncio.all_tasks(), ending} - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.05)  # so that what was closed is

    async def _end_the_old(self) -> None:
        own = _Connection(*await asyncio.open_connection("127.0.0.1", self._behind, limit=1 << 26))
        try:
            while True:
                await asyncio.sleep(0.05)
                for each in [each for each in self._transactions.values() if each.state == "open"]:
                    if time.monotonic() - each.since > self.lifetime:
                        self.outcomes["expired"] += 1
                        async with self._gate:
                            await self._abort(own, each)
        finally:
            own.writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind = _Connection(*await asyncio.open_connection("127.0.0.1", self._behind, limit=1 << 26))
        try:
            while True:
                asked = await read(reader)
                said = await self._answered(behind, asked)
                if asked.answered:
                    writer.write(answer(asked, said, next(self._numbers)))
                    await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError, Cut):
            pass  # a cancelled task of a stream is told of as an error in Python 3.11
        finally:
            writer.close()
            behind.writer.close()

    async def _answered(self, behind: _Connection, asked: Message) -> Document:
        try:
            said = await self._handled(behind, dict(asked.body))
        except Refused as refused:
            said = refused.answer
            self.outcomes[f"{next(iter(asked.body))} {said['code']}"] += 1
        return {**said, "operationTime": Timestamp(_STARTED, len(self._events) + 1)}

    async def _handled(self, behind: _Connection, body: Document) -> Document:
        name = next(iter(body))
        if name.lower() in ("hello", "ismaster"):
            return self._hello()
        self.seen[name] += 1
        if name in ("buildInfo", "ping", "getParameter"):
            return {"version": "8.0.0", "versionArray": [8, 0, 0, 0], "ok": 1.0}
        if name == "dbStats":
            return {"storageSize": 1, "ok": 1.0}
        if name in ("endSessions", "killSessions"):
            return await self._ended(behind, [bytes(each["id"]) for each in body[name]])
        kind = self._fault(name)
        if kind == "cut":
            raise Cut
        if kind == "hang":
            self.hanging += 1
            await self._never.wait()
        if kind == "forgotten":
            raise Refused(43, "CursorNotFound: the member that had it was restarted")
        if kind == "forbidden":
            raise Refused(13, f"Unauthorized: not authorized on admin to execute command {name}")
        if kind == "stepdown":
            await self._abort_all(behind)
            raise Refused(10107, "NotWritablePrimary: the member has stepped down")
        said = await self._in_or_out(behind, name, body, ended=kind == "transient")
        if kind == "lost":
            raise Cut
        return said

    def _fault(self, name: str) -> Kind | None:
        if self.faults and self.faults[0].command == name:
            self.faults[0].after -= 1
            if self.faults[0].after < 0:
                return self._noted(name, self.faults.pop(0).kind)
        if (
            self.chaos is not None
            and name in (*_WRITES, "commitTransaction")
            and self.chaos[0].random() < self.chaos[1]
        ):
            kinds: tuple[Kind, ...] = ("cut", "lost", "stepdown", "transient")
            return self._noted(name, self.chaos[0].choice(kinds))
        return None

    def _noted(self, name: str, kind: Kind) -> Kind:
        self.outcomes[f"{name} {kind}"] += 1
        return kind

    def _hello(self) -> Document:
        me = f"127.0.0.1:{self.port}"
        return {
            "isWritablePrimary": True, "ismaster": True, "helloOk": True, "setName": "played", "setVersion": 1,
            "hosts": [me], "primary": me, "me": me, "maxBsonObjectSize": _LARGEST, "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000, "minWireVersion": 0, "maxWireVersion": 25,
            "logicalSessionTimeoutMinutes": 30, "secondary": False, "localTime": datetime.now(UTC), "ok": 1.0,
        }  # fmt: skip

    async def _in_or_out(self, behind: _Connection, name: str, body: Document, *, ended: bool) -> Document:
        session = bytes(body["lsid"]["id"]) if "lsid" in body else b""
        if "afterClusterTime" in body.get("readConcern", {}):
            self.causal += 1
        if body.get("autocommit") is False:
            transaction = await self._transaction(behind, session, body)
            if ended and transaction.state == "open":
                async with self._gate:
                    await self._abort(behind, transaction)
                raise Refused(112, "WriteConflict: made up", TRANSIENT)
            return await self._within(behind, name, body, transaction)
        if "txnNumber" not in body:
            return await self._run_command(behind, name, body, None)
        # A retryable write that comes again is answered as it was.
        # https://www.mongodb.com/docs/manual/core/retryable-writes/
        place = (session, int(body["txnNumber"]))
        if place not in self._answers:
            self._answers[place] = await self._run_command(behind, name, body, None)
        return self._answers[place]

    async def _transaction(self, behind: _Connection, session: bytes, body: Document) -> Transaction:
        place = (session, int(body["txnNumber"]))
        if body.get("startTransaction"):
            if place in self._transactions:
                raise Refused(117, "ConflictingOperationInProgress: the transaction has begun already")
            for (other, _), each in self._transactions.items():
                if other == session and each.state == "open":
                    async with self._gate:
                        await self._abort(behind, each)
            self._transactions[place] = Transaction(session)
        elif "readConcern" in body:
            raise self._wrong(72, "InvalidOptions: only the first command of a transaction has a read concern")
        found = self._transactions.get(place)
        if found is None or found.state == "aborted":
            raise Refused(251, "NoSuchTransaction: it was aborted or never begun", TRANSIENT)
        return found

    def _wrong(self, code: int, said: str) -> Refused:
        """A command that is never right: tests look at `refused`."""
        self.refused.append(said)
        return Refused(code, said)

    async def _within(self, behind: _Connection, name: str, body: Document, transaction: Transaction) -> Document:
        if name not in _IN_TRANSACTIONS:
            raise self._wrong(263, f"OperationNotSupportedInTransaction: {name}")
        if name == "commitTransaction":
            if transaction.state == "open":
                self._commit(transaction)
            return {"ok": 1.0}
        if transaction.state == "committed":
            raise self._wrong(256, f"TransactionCommitted: {name} came after the commit")
        if name == "abortTransaction":
            async with self._gate:
                await self._abort(behind, transaction)
            return {"ok": 1.0}
        if "writeConcern" in body:
            raise self._wrong(72, f"InvalidOptions: {name} in a transaction has a write concern")
        if body.get("$readPreference", {}).get("mode", "primary") != "primary":
            raise self._wrong(72, "InvalidOptions: the read preference in a transaction is primary")
        try:
            return await self._run_command(behind, name, body, transaction)
        except Refused as refused:
            async with self._gate:
                await self._abort(behind, transaction)
            raise refused from None

    def _commit(self, transaction: Transaction) -> None:
        transaction.state = "committed"
        self.outcomes["committed"] += 1
        for (namespace, _), id_ in transaction.touched.items():
            self._happened(namespace, id_)
        self._let_go(transaction)

    async def _abort(self, behind: _Connection, transaction: Transaction) -> None:
        if transaction.state != "open":
            return
        transaction.state = "aborted"
        self.outcomes["aborted"] += 1
        for database, collection, id_, before in reversed(transaction.undo):
            await behind.run({"delete": collection, "$db": database, "deletes": [{"q": {"_id": id_}, "limit": 1}]})
            if before is not None:
                await behind.run({"insert": collection, "$db": database, "documents": [before]})
        self._let_go(transaction)

    async def _abort_all(self, behind: _Connection) -> None:
        async with self._gate:
            for each in list(self._transactions.values()):
                await self._abort(behind, each)

    def _let_go(self, transaction: Transaction) -> None:
        self._locks = {place: holder for place, holder in self._locks.items() if holder is not transaction}

    async def _ended(self, behind: _Connection, sessions: Sequence[bytes]) -> Document:
        async with self._gate:
            for each in list(self._transactions.values()):
                if each.session in sessions:
                    await self._abort(behind, each)
        return {"ok": 1.0}

    async def _run_command(
        self, behind: _Connection, name: str, body: Document, transaction: Transaction | None
    ) -> Document:
        database = body["$db"]
        if len(database.encode()) > 63:
            raise self._wrong(73, "InvalidNamespace: the name of the database is too long")
        try:
            self._check(name, f"{database}.{body[name]}", body)
        except manual.Wrong as wrong:
            raise self._wrong(wrong.code, str(wrong)) from None
        if name == "getMore" and body["getMore"] in self._streams:
            return await self._next_events(body)
        if name == "getMore" and "maxTimeMS" in body:
            raise self._wrong(2, "BadValue: getMore of a cursor that does not await data has maxTimeMS")
        if name == "killCursors" and body["cursors"][0] in self._streams:
            del self._streams[body["cursors"][0]]
            return {"ok": 1.0}
        if name == "aggregate" and body["pipeline"] and "$changeStream" in body["pipeline"][0]:
            return self._watched(body)
        if name in ("create", "createIndexes"):
            self._made(name, database, body)
        if name == "createIndexes":
            self.quorums.add(body.get("commitQuorum"))
        namespace = f"{database}.{body[name]}"
        if name in _READS:
            return await self._read(behind, namespace, body, transaction)
        if name in _WRITES:
            return await self._write(behind, name, namespace, body, transaction)
        async with self._gate:
            if name == "dropDatabase":
                self._there = {each for each in self._there if not each.startswith(f"{database}.")}
                self._indexes = {each: keys for each, keys in self._indexes.items() if each in self._there}
                self._named = {each: names for each, names in self._named.items() if each in self._there}
            return await behind.run(_bare(body))

    def _check(self, name: str, namespace: str, body: Document) -> None:
        """Hold a command to the manual. Raises Wrong."""
        if name == "find":
            manual.check_filter(body.get("filter", {}))
            manual.check_projection(body.get("projection", {}))
            hint = body.get("hint")
            if hint is not None and namespace in self._there and hint not in self._named.get(namespace, ()):
                raise manual.Wrong(2, f"BadValue: hint provided does not correspond to an existing index: {hint}")
            if len(body.get("sort", ())) > _MOST_SORTED:
                raise manual.Wrong(2, "BadValue: too many compound keys")
        for stage in body["pipeline"] if name == "aggregate" else ():
            manual.check_filter(stage.get("$match", {}))
        for each in body.get("updates", ()) if name == "update" else ():
            manual.check_filter(each["q"])
            manual.check_update(each["u"])
        for each in body.get("deletes", ()) if name == "delete" else ():
            manual.check_filter(each["q"])
        if name == "findAndModify":
            manual.check_filter(body["query"])
            manual.check_update(body.get("update", {}))
        if name == "createIndexes":
            manual.check_indexes(body["indexes"])

    def _made(self, name: str, database: str, body: Document) -> None:
        namespace = f"{database}.{body[name]}"
        if name == "create" and namespace in self._there:
            raise Refused(48, "NamespaceExists: the collection is there")
        self._there.add(namespace)
        self._named.setdefault(namespace, {"_id_"}).update(each["name"] for each in body.get("indexes", ()))
        keys = self._indexes.setdefault(namespace, [])
        keys += [list(each["key"]) for each in body.get("indexes", ()) if list(each["key"]) not in keys]
        if len(keys) + 1 > 64:
            raise self._wrong(67, "CannotCreateIndex: a collection has at most 64 indexes")

    async def _read(
        self, behind: _Connection, namespace: str, body: Document, transaction: Transaction | None
    ) -> Document:
        """Wait until nobody else has uncommitted writes there."""
        until = time.monotonic() + _PATIENCE
        while True:
            async with self._gate:
                holders = {id(held) for place, held in self._locks.items() if place[0] == namespace}
                if holders <= {id(transaction)}:
                    return await behind.run(_bare(body))
            if time.monotonic() > until:
                raise self._wrong(50, f"a read of {namespace} waited for a transaction that its own client holds")
            await asyncio.sleep(0.001)

    async def _write(
        self, behind: _Connection, name: str, namespace: str, body: Document, transaction: Transaction | None
    ) -> Document:
        if namespace not in self._there:
            if transaction is not None:
                raise self._wrong(263, f"OperationNotSupportedInTransaction: {namespace} would be created by {name}")
            self._there.add(namespace)
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                async with self._gate:
                    return await self._written(behind, name, namespace, body, transaction)
            except _Held:
                if transaction is not None:
                    raise Refused(112, "WriteConflict: another transaction has written this", TRANSIENT) from None
                if time.monotonic() > until:
                    raise self._wrong(
                        112, f"a write of {namespace} waited for a transaction of its own client"
                    ) from None
                await asyncio.sleep(0.001)

    async def _written(
        self, behind: _Connection, name: str, namespace: str, body: Document, transaction: Transaction | None
    ) -> Document:
        database, collection = body["$db"], body[name]
        bare = _bare(body)
        if name == "insert":
            for document in body["documents"]:
                self._fits(namespace, document)
                self._take(namespace, document["_id"], None, transaction)
            return await behind.run(bare)
        if name == "findAndModify":
            await self._take_found(behind, namespace, body["query"], 1, transaction)
            return await behind.run(bare)
        total: Document = {"ok": 1.0, "n": 0, "nModified": 0, "upserted": [], "writeErrors": []}
        for number, one in enumerate(body["updates" if name == "update" else "deletes"]):
            limit = 0 if one.get("multi") or (name == "delete" and not one["limit"]) else 1
            await self._take_found(behind, namespace, one["q"], limit, transaction)
            if name == "update":
                self._fits(namespace, one["u"].get("$set", one["u"]))
            single = {"$db": database, name: collection, "updates" if name == "update" else "deletes": [one]}
            said = await behind.run({name: single.pop(name), **single})
            if said.get("ok") != 1.0:
                return said
            for upserted in said.get("upserted", ()):
                self._take(namespace, upserted["_id"], None, transaction)
                total["upserted"].append({"index": number, "_id": upserted["_id"]})
            total["n"], total["nModified"] = total["n"] + said["n"], total["nModified"] + said.get("nModified", 0)
            total["writeErrors"] += [{**each, "index": number} for each in said.get("writeErrors", ())]
            if total["writeErrors"] and body.get("ordered", True):
                break
        return {name: value for name, value in total.items() if value != []}

    async def _take_found(
        self, behind: _Connection, namespace: str, query: Document, limit: int, transaction: Transaction | None
    ) -> None:
        database, _, collection = namespace.partition(".")
        looked = any(place[0] == namespace for place in self._locks)
        if transaction is None and not looked and collection != "meta":
            return
        found = await behind.run({"find": collection, "$db": database, "filter": query, "limit": limit})
        batch = found["cursor"]["firstBatch"]
        for document in await _rest(behind, database, collection, found["cursor"]["id"], batch):
            self._take(namespace, document["_id"], document, transaction)

    def _take(self, namespace: str, id_: Any, before: Document | None, transaction: Transaction | None) -> None:
        """Have a transaction hold a document; a write outside of one is an event at once."""
        place = (namespace, repr(id_))
        held = self._locks.get(place)
        if held is not None and held is not transaction:
            raise _Held
        if transaction is None:
            self._happened(namespace, id_)
        elif held is None:
            database, _, collection = namespace.partition(".")
            self._locks[place] = transaction
            transaction.touched[place] = id_
            transaction.undo.append((database, collection, id_, before))

    def _fits(self, namespace: str, document: Document) -> None:
        """Refuse what indexes and documents cannot hold.

        Manual: https://www.mongodb.com/docs/manual/core/indexes/index-types/index-multikey/
        """
        try:
            manual.check_document({"": document})
        except manual.Wrong as wrong:
            raise self._wrong(wrong.code, str(wrong)) from None
        if len(bson.encode(document)) > _LARGEST:
            raise Refused(10334, "BSONObjectTooLarge: a document has at most 16 MB")
        for keys in self._indexes.get(namespace, ()):
            if len({arrayed for key in keys if (arrayed := _array_of(document, key))}) > 1:
                raise self._wrong(171, f"CannotIndexParallelArrays: {namespace} {keys}")

    def _happened(self, namespace: str, id_: Any) -> None:
        if namespace.endswith(".meta"):
            self._events.append({"ns": namespace, "id": id_})

    def _watched(self, body: Document) -> Document:
        stream, *rest = body["pipeline"]
        options, at = stream["$changeStream"], len(self._events)
        if rest != [{"$match": {"ns.coll": "meta", "documentKey._id": {"$regex": "^(head$|bell)"}}}]:
            raise self._wrong(9, "only the pipeline of the bell is played")
        if token := options.get("resumeAfter") or options.get("startAfter"):
            at = int(token["_data"], 16)
        elif started := options.get("startAtOperationTime"):
            at = started.inc - 1
        if at < self.oldest_event:
            raise Refused(286, "ChangeStreamHistoryLost: no longer in the log", "NonResumableChangeStreamError")
        number = next(self._numbers)
        self._streams[number] = [at]
        self.streamed += 1
        return {
            "ok": 1.0,
            "cursor": {"id": Int64(number), "ns": "admin.$cmd.aggregate", "firstBatch": []} | _token(at),
        }

    async def _next_events(self, body: Document) -> Document:
        number = body["getMore"]
        until = time.monotonic() + body.get("maxTimeMS", 1_000) / 1_000
        place = self._streams[number]
        while place[0] == len(self._events) and time.monotonic() < until:
            await asyncio.sleep(0.005)
        found = [(at, self._events[at]) for at in range(place[0], len(self._events))]
        place[0] = len(self._events)
        events = [_event(at + 1, event) for at, event in found if re.match("head$|bell", event.get("id", ""))]
        cursor = {"id": Int64(number), "ns": "admin.$cmd.aggregate", "nextBatch": events} | _token(place[0])
        return {"ok": 1.0, "cursor": cursor}


class _Held(Exception):
    """Another transaction has written the document."""


def _bare(body: Document) -> Document:
    """Return a command as a server without sessions takes it."""
    return {name: value for name, value in body.items() if name not in _OF_DRIVERS}


async def _rest(
    behind: _Connection, database: str, collection: str, cursor: int, batch: Iterable[Document]
) -> list[Document]:
    found = list(batch)
    while cursor:
        said = await behind.run({"getMore": Int64(cursor), "$db": database, "collection": collection})
        cursor = said["cursor"]["id"]
        found += said["cursor"]["nextBatch"]
    return found


def _array_of(document: Mapping[str, Any], key: str) -> str | None:
    """Return the part of a path that leads to an array."""
    value: Any = document
    parts = key.split(".")
    for number, part in enumerate(parts):
        value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(value, list):
            return ".".join(parts[: number + 1])
    return None


def _token(at: int) -> Document:
    return {"postBatchResumeToken": {"_data": f"{at:016x}"}}


def _event(at: int, event: Document) -> Document:
    database, _, collection = event["ns"].partition(".")
    return {
        "_id": {"_data": f"{at:016x}"}, "operationType": "update", "ns": {"db": database, "coll": collection},
        "documentKey": {"_id": event["id"]}, "clusterTime": Timestamp(_STARTED, at),
    }  # fmt: skip
