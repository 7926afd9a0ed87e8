"""MongoStore: the Store contract on MongoDB."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bson import encode
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.entries import IndexEntries
from fhir_server.search.query import And, Contained, Search, Total
from fhir_server.settings import Settings
from fhir_server.storage.audit import AuditRow
from fhir_server.storage.base import (
    Audit,
    BackupRefused,
    BlobChange,
    Capabilities,
    Change,
    Collection,
    CommitResult,
    HistoryPage,
    HistoryQuery,
    Page,
    RecordChange,
    SnapshotGone,
)
from fhir_server.storage.mongodb import history as log
from fhir_server.storage.mongodb import schema
from fhir_server.storage.mongodb.audit import MongoAudit
from fhir_server.storage.mongodb.blobs import MongoBlobs
from fhir_server.storage.mongodb.compile import Compiler, Filter
from fhir_server.storage.mongodb.connection import Server, client_of, concerns, faults, server_of
from fhir_server.storage.mongodb.document import BODY_ALONE, INDEXED, OPEN, Document, indexed, packed, version_of
from fhir_server.storage.mongodb.erase import purge_all, purge_superseded
from fhir_server.storage.mongodb.includes import gather
from fhir_server.storage.mongodb.keys import Keys
from fhir_server.storage.mongodb.planning import Wish
from fhir_server.storage.mongodb.records import MongoRecords
from fhir_server.storage.mongodb.resilience import Guard, once, reading
from fhir_server.storage.mongodb.rows import Snapshot, name_filter, names_filter
from fhir_server.storage.mongodb.search import Match, count_of, cursor_of, filter_of, page_of, resolved
from fhir_server.storage.mongodb.sorting import Step, is_sortable, steps
from fhir_server.storage.mongodb.turns import Turns
from fhir_server.storage.mongodb.upkeep import Upkeep
from fhir_server.storage.mongodb.writer import Writer
from fhir_server.telemetry.numbers import COMMIT_SECONDS, READ_SECONDS, READS

_NAMED_AT_ONCE: Final = 500
_UNTOLD: Final = "not told by this server"

Extract = Callable[[str, bytes], IndexEntries]


class MongoStore:
    """One tenant: a database of its own. `clock` gives milliseconds since 1970 UTC."""

    def __init__(
        self, server: Server, reading: Snapshot, writer: Writer, settings: Settings, clock: Callable[[], int]
    ) -> None:
        self.capabilities = Capabilities(
            "mongodb", transactions=server.transactions, full_text=False, orders=frozenset(settings.mongodb_sorts)
        )
        self.records = writer.records
        self.blobs = writer.blobs
        self.audit = MongoAudit(writer.reading.database, self._append, writer.turns.head, writer.guard)
        self.guard = writer.guard
        self.server = server
        self._reading, self._writer, self._settings, self._clock = reading, writer, settings, clock
        self._upkeep = Upkeep(self.records, settings, clock)
        self._alone: AsyncMongoClient[Document] | None = None

    @once
    async def sweep(self) -> int:
        """Take superseded versions out of the index, and what nobody attached out of the store."""
        with faults():
            swept = await self._upkeep.sweep(await self._now())
        await self.blobs.sweep()
        return swept

    async def upgrade(self, *, finish: bool) -> tuple[int, int]:
        """Return the format of the store and that of this release; `finish`: bring it up."""
        database = self._writer.reading.database
        with faults():
            if finish:
                await schema.finish(database, self._settings.mongodb_sorts)
            return await schema.format_of(database), schema.FORMAT

    async def envelop(self) -> int:
        """Nothing is sealed here: MongoDB encrypts its files by itself."""
        return 0

    async def backup(
        self, target: Path, progress: Callable[[int, int], None], patient_keys: Path | None = None
    ) -> object:
        """A replica set is backed up with its own tools, which know an instant of all its members."""
        raise BackupRefused("the record is in MongoDB: back it up with mongodump --oplog, or a snapshot of its volumes")

    async def _now(self) -> Snapshot:
        return self._as_of(await self._head())

    async def _head(self) -> Document:
        return await self._writer.turns.head(self._reading.session)

    def _as_of(self, head: Document) -> Snapshot:
        return replace(self._reading, txid=head["txid"], wide=frozenset(head.get("wide", ())))

    async def _append(self, rows: Sequence[AuditRow]) -> int:
        if not rows:
            return await self.audit.size() + 1
        seen: list[int] = []
        # Rows of one commit stand together, so the last one tells where the first is.
        await self._writer.write(Wish(rows=rows, first=seen.append))
        return seen[-1]

    async def read(self, key: ResourceKey) -> Version | None:
        """Return the current version, which may be a deletion."""
        READS.add("read")
        return await self._newest(key) or (await self.read_many([key])).get(key)

    @reading
    async def _newest(self, key: ResourceKey) -> Version | None:
        """Return the version that nothing superseded, without asking where the log ends: half the work of most reads.

        A transaction is seen whole or not at all. Should the look-up run into one, and find neither the old version nor
        the new, the log is asked.
        """
        if not self.server.transactions or self._reading.session is not None:
            return None
        with faults():
            match = {**name_filter(key), "to": OPEN}
            async with aclosing(self._reading.documents(match, limit=1, fields=BODY_ALONE)) as documents:
                async for each in documents:
                    return version_of(each)
        return None

    @reading
    async def read_many(self, keys: Sequence[ResourceKey]) -> dict[ResourceKey, Version]:
        """Return the current versions of those that exist."""
        found: dict[ResourceKey, Version] = {}
        with faults():
            snapshot = await self._now()
            for start in range(0, len(keys), _NAMED_AT_ONCE):
                some = frozenset(keys[start : start + _NAMED_AT_ONCE])
                live: Document = {"x": {"$lte": snapshot.txid}, "to": {"$gt": snapshot.txid}}
                async with aclosing(snapshot.documents(names_filter(some) | live, fields=BODY_ALONE)) as documents:
                    async for each in documents:
                        version = version_of(each)
                        if version.key in some:
                            found[version.key] = version
        return found

    @reading
    async def read_version(self, key: ResourceKey, version: int) -> Version | None:
        """Return one version."""
        with faults():
            snapshot = await self._now()
            match = {**name_filter(key), "v": version, "x": {"$lte": snapshot.txid}}
            async with aclosing(snapshot.documents(match, fields=BODY_ALONE)) as documents:
                async for each in documents:
                    return version_of(each)
        return None

    async def commit(
        self,
        changes: Sequence[Change],
        records: Sequence[RecordChange] = (),
        blobs: Sequence[BlobChange] = (),
        *,
        audit: Audit | None = None,
    ) -> CommitResult:
        """Write all or nothing."""
        with COMMIT_SECONDS.timed():
            return await self._writer.write(Wish(changes, records, blobs, audit))

    @reading
    async def search(self, search: Search) -> Page:
        """Return one page. Raises SnapshotGone for a page link older than its life."""
        with READ_SECONDS.timed("search"), faults():
            head = await self._head()
            txid = search.after.txid if search.after else head["txid"]
            snapshot = replace(self._as_of(head), txid=txid)
            if search.after and await self._upkeep.is_gone(snapshot):
                raise SnapshotGone(f"the snapshot {txid} has been swept")
            asked = await resolved(snapshot, search)
            found = await page_of(snapshot, asked)
            page = found[: search.count]
            included, notes = await gather(snapshot, asked, [match.row for match in page], self._settings)
            more = bool(page) and len(found) > len(page)
            return Page(
                versions=tuple(match.row.version for match in page),
                included=tuple(row.version for row in included),
                next=cursor_of(txid, page[-1], search) if more else None,
                txid=txid,
                total=await self._total(snapshot, asked, found, head),
                containers=_containers(search, page),
                notes=notes,
            )

    async def _total(self, snapshot: Snapshot, search: Search, found: Sequence[Match], head: Document) -> int | None:
        """A total that was not asked for is told where it is free: the only page, or everything of a type."""
        whole = search.contained == Contained.FALSE and all(node == And() for node in search.branches.values())
        if whole and snapshot.txid == head["txid"]:
            return int(sum(head["counts"].get(type_, 0) for type_ in search.branches))
        if search.after is None and len(found) <= search.count:
            return len(found)
        return await count_of(snapshot, search) if search.total != Total.NONE else None

    @reading
    async def count(self, search: Search) -> int:
        """Return the exact number of matches."""
        with READ_SECONDS.timed("count"), faults():
            snapshot = await self._now()
            return await count_of(snapshot, await resolved(snapshot, search))

    @reading
    async def explain(self, search: Search) -> dict[str, object]:
        """Return the server's plan and what each part of the tree matches by itself."""
        with faults():
            snapshot = await self._now()
            asked = await resolved(snapshot, search)
            filter_ = filter_of(snapshot, asked)
            plan = await _plan(snapshot, asked, filter_)
            steps = []
            for type_, node in asked.branches.items():
                for part in node.nodes if isinstance(node, And) else (node,):
                    held = await count_of(snapshot, Search({type_: part}))
                    steps.append({"type": type_, "node": repr(part), "matched": held})
            return {
                "engine": "mongodb", "server": self.server.name, "exact": filter_.exact, "plan": plan, "steps": steps
            }  # fmt: skip

    @reading
    async def history(self, query: HistoryQuery) -> HistoryPage:
        """Return versions, newest first."""
        with READ_SECONDS.timed("history"), faults():
            snapshot = await self._now()
            until = snapshot.txid if query.until is None else min(query.until, snapshot.txid)
            return await log.history(replace(snapshot, txid=until), query)

    @reading
    async def changes(self, after: int, limit: int = 1000) -> list[Version]:
        """Return whole commits after `after`, as many as `limit` versions hold, but at least one."""
        with faults():
            return await log.changes(await self._now(), after, limit)

    @reading
    async def revived(self, versions: Sequence[Version]) -> frozenset[int]:
        """Return the pids of those that came after a deletion."""
        with faults():
            return await log.revived(await self._now(), versions)

    @reading
    async def count_changes(self, after: int) -> int:
        """Return how many versions there are with txid > after."""
        with faults():
            snapshot = await self._now()
            match = {"x": {"$gt": after, "$lte": snapshot.txid}}
            return await snapshot.database["versions"].count_documents(match, session=snapshot.session)

    @reading
    async def head(self) -> int:
        """Return the txid of the newest version."""
        with faults():
            return int((await self._writer.turns.head())["written"])

    @reading
    async def last_txid(self) -> int:
        """Return the txid of the newest commit."""
        with faults():
            return int((await self._writer.turns.head())["txid"])

    @once
    async def purge(self, key: ResourceKey, *, history_only: bool) -> int:
        """Erase a resource's superseded versions, or all of it."""
        with faults():
            if history_only:
                return await purge_superseded(self._writer.reading.database, [key], (await self._now()).txid)
            return await purge_all(self._writer.reading.database, key)

    @once
    async def purge_history(self, keys: Sequence[ResourceKey]) -> int:
        """Erase the superseded versions of many resources."""
        with faults():
            return await purge_superseded(self._writer.reading.database, keys, (await self._now()).txid)

    async def shred(self, patient: str) -> bool:
        """There are no keys: MongoDB encrypts its files by itself."""
        return False

    @once
    async def residue(self, probes: Sequence[bytes]) -> tuple[int, ...]:
        """Return how often each text stands in what the server gives out of its collections."""
        found = [0] * len(probes)
        with faults():
            for name in await self._writer.reading.database.list_collection_names():
                async for document in self._writer.reading.database[name].find():
                    raw = encode(document)
                    found = [number + raw.count(probe) for number, probe in zip(found, probes, strict=True)]
        return tuple(found)

    @once
    async def compact(self) -> None:
        """Have the server give back space; one that cannot is left alone."""
        with faults(), suppress(OperationFailure):
            for name in ("versions", "parts", "chunks"):
                await self._writer.reading.database.command("compact", name, force=True)

    @once
    async def reindex(self, types: Sequence[str], extract: Extract, progress: Callable[[int, int], None]) -> int:
        """Make the index rows of the current versions of these types anew."""
        with faults():
            database = self._writer.reading.database
            snapshot = replace(await self._now(), database=database, session=None, limit=0)
            match: Document = {"$and": [snapshot.current, {"t": {"$in": list(types)}} if types else {}]}
            versions, done = snapshot.database["versions"], 0
            of = await versions.count_documents(match)
            async with aclosing(snapshot.documents(match, [("_id", 1)], fields=BODY_ALONE)) as documents:
                async for each in documents:
                    await self._reindexed(versions, each, extract(each["t"], bytes(each["b"])))
                    done += 1
                    progress(done, of)
        return done

    async def _reindexed(self, versions: AsyncCollection[Document], document: Document, entries: IndexEntries) -> None:
        key, body = ResourceKey(document["t"], document["i"]), packed(entries)
        made = indexed(entries, self._reading.compiler.keys, len(body))
        if "w" in made:
            await self._writer.turns.note_wide(key.type)
        made |= await self._writer.turns.parted_again({"_id": document["_id"], "e": body})
        gone = {name: "" for name in INDEXED if name not in made}
        named = {**name_filter(key), "_id": document["_id"]}
        await versions.update_one(named, {"$set": made} | ({"$unset": gone} if gone else {}))

    async def declare(self, collection: Collection) -> None:
        """Make a record collection known."""
        await self.records.declare(collection)

    @reading
    async def statistics(self) -> Mapping[str, int]:
        """Return the number of current resources by type."""
        with faults():
            counts: Mapping[str, int] = (await self._writer.turns.head())["counts"]
        return counts

    async def close(self) -> None:
        """Finish what is running."""
        await self._writer.close()
        if self._reading.session is not None:
            await self._reading.session.end_session()
        if self._alone is not None:
            await self.guard.close()
            await self._alone.close()


async def open_store(
    client: AsyncMongoClient[Document],
    guard: Guard,
    server: Server,
    name: str,
    settings: Settings,
    clock: Callable[[], int],
    holder: str,
    written: Callable[[], None] = lambda: None,
) -> MongoStore:
    """Open the database of a tenant, which is made where there is none."""
    options = concerns(settings, server)
    database = client.get_database(name, **options)
    primary = client.get_database(name, **options | {"read_preference": ReadPreference.PRIMARY})
    with faults():
        secret = await schema.prepare(primary, sharded=server.sharded, sorts=settings.mongodb_sorts)
    compiler = Compiler(Keys(secret), nested=server.nested)
    limit = settings.search_timeout * 1000
    records, blobs = MongoRecords(primary, guard), MongoBlobs(primary, guard)
    turns = Turns(primary, blobs, holder, transactions=server.transactions, lease=settings.mongodb_lease)
    writer = Writer(
        client, turns, Snapshot(primary, compiler, 0, limit), guard, records, blobs, settings, clock,
        server.transactions, written,
    )  # fmt: skip
    # Who reads other members than the primary must find there what the head, which the primary has, tells of.
    # https://www.mongodb.com/docs/manual/core/causal-consistency-read-write-concerns/
    far = database.read_preference != ReadPreference.PRIMARY
    session = client.start_session(causal_consistency=True) if far else None
    return MongoStore(server, Snapshot(database, compiler, 0, limit, session), writer, settings, clock)


async def open_alone(name: str, settings: Settings, clock: Callable[[], int]) -> MongoStore:
    """Open one database with a client of its own, which is closed with the store."""
    client = client_of(settings)
    guard = Guard(client, settings)
    try:
        server = await server_of(client)
        store = await open_store(client, guard, server, name, settings, clock, secrets.token_hex(8))
    except BaseException:
        await client.close()
        raise
    store._alone = client
    return store


async def _plan(snapshot: Snapshot, search: Search, filter_: Filter) -> Any:
    """Return how the server finds the first page, and in what order."""
    step = next(steps(search)) if is_sortable(search) else Step({}, ())
    match = {"$and": [snapshot.current, *(part for part in (filter_.match, step.match) if part)]}
    cursor = snapshot.database["versions"].find(match).limit(search.count + 1)
    if step.order:
        cursor = cursor.sort(list(step.order))
    try:
        told = (await cursor.explain()).get("queryPlanner", {})
    except OperationFailure:
        return _UNTOLD
    plan = told.get("winningPlan", told.get("Plan", _UNTOLD))
    return plan.get("queryPlan", plan) if isinstance(plan, dict) else plan


def _containers(search: Search, page: Sequence[Match]) -> tuple[tuple[str, str] | None, ...]:
    return () if search.contained == Contained.FALSE else tuple(match.container for match in page)
