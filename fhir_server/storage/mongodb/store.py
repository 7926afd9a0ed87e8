"""MongoStore: the Store contract on MongoDB."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path

from pymongo import AsyncMongoClient, ReadPreference
from pymongo.errors import OperationFailure

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.query import Search
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
from fhir_server.storage.mongodb.compile import Compiler
from fhir_server.storage.mongodb.connection import Server, client_of, concerns, faults, server_of
from fhir_server.storage.mongodb.document import BODY_ALONE, Document, version_of
from fhir_server.storage.mongodb.erase import purge_all, purge_superseded, residue
from fhir_server.storage.mongodb.explaining import explained
from fhir_server.storage.mongodb.groups import Groups
from fhir_server.storage.mongodb.keys import Keys
from fhir_server.storage.mongodb.numbering import Numbering
from fhir_server.storage.mongodb.paging import known_total, page_at
from fhir_server.storage.mongodb.planning import Wish
from fhir_server.storage.mongodb.records import MongoRecords
from fhir_server.storage.mongodb.reindexing import Extract, reindexed
from fhir_server.storage.mongodb.resilience import Guard, once, reading
from fhir_server.storage.mongodb.rows import Snapshot
from fhir_server.storage.mongodb.search import count_of, resolved
from fhir_server.storage.mongodb.turns import Turns
from fhir_server.storage.mongodb.upkeep import Upkeep
from fhir_server.storage.mongodb.waiting import Waiting
from fhir_server.storage.mongodb.writer import Writer
from fhir_server.telemetry.numbers import COMMIT_SECONDS, READ_SECONDS, READS


class MongoStore:
    """One tenant: a database of its own. `clock` gives milliseconds since 1970 UTC."""

    def __init__(
        self, server: Server, reading: Snapshot, writer: Writer, settings: Settings, clock: Callable[[], int]
    ) -> None:
        self.capabilities = Capabilities(
            "mongodb", transactions=server.transactions, full_text=False, orders=frozenset(settings.mongodb_sorts)
        )
        groups = writer.groups
        self.records, self.blobs, self.guard = groups.records, groups.blobs, groups.guard
        self.numbering = (
            Numbering(Waiting(groups.reading.database, groups.guard), self._number, clock, settings.mongodb_timeout)
            if server.transactions
            else None
        )
        self.audit = MongoAudit(groups.reading.database, self._append, groups.turns.head, groups.guard, self.numbering)
        self.server = server
        self._reading, self._writer, self._settings, self._clock = reading, writer, settings, clock
        self._upkeep = Upkeep(self.records, settings, clock)
        self._alone: AsyncMongoClient[Document] | None = None

    @once
    async def sweep(self) -> int:
        """Take superseded versions out of the index, and what nobody attached out of the store."""
        with faults():
            swept = await self._upkeep.sweep(await self._now())
            await self._writer.turns.sweep()
        await self.blobs.sweep()
        if self.numbering is not None:
            await self.numbering.waiting.sweep()
        return swept

    async def upgrade(self, *, finish: bool) -> tuple[int, int]:
        """Return the format of the store and that of this release; `finish`: bring it up."""
        database = self._writer.reading.database
        with faults():
            if finish:
                await schema.finish(database, self._settings.mongodb_sorts)
                await self.begin_numbering()
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
        await self._writer.write(Wish(rows=rows, first=seen.append, numbered=lambda more: None))
        return seen[-1]

    async def _number(self) -> bool:
        more: list[bool] = []
        await self._writer.write(Wish(numbered=more.append))
        return more[-1]

    async def begin_numbering(self) -> None:
        """Have audit rows of reads wait for their numbers, where all who open the store look for those that do."""
        if self.numbering is not None:
            format_ = await schema.format_of(self._writer.reading.database)
            waits = format_ >= schema.NUMBERED_LATER
            await self.numbering.begin(self._settings.mongodb_audit_interval if waits else 0)

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
            return await self._reading.newest(key)

    @reading
    async def read_many(self, keys: Sequence[ResourceKey]) -> dict[ResourceKey, Version]:
        """Return the current versions of those that exist."""
        with faults():
            async with aclosing((await self._now()).live(keys, BODY_ALONE)) as found:
                versions = [version_of(each) async for each in found]
        return {version.key: version for version in versions}

    @reading
    async def read_version(self, key: ResourceKey, version: int) -> Version | None:
        """Return one version."""
        with faults():
            return await (await self._now()).version(key, version)

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
            return await page_at(snapshot, search, head, self._settings)

    @reading
    async def count(self, search: Search) -> int:
        """Return the exact number of matches."""
        with READ_SECONDS.timed("count"), faults():
            head = await self._head()
            if (known := known_total(search, head)) is not None:
                return known
            snapshot = self._as_of(head)
            return await count_of(snapshot, await resolved(snapshot, search))

    @reading
    async def explain(self, search: Search) -> dict[str, object]:
        """Return the server's plan and what each part of the tree matches by itself."""
        with faults():
            return {"engine": "mongodb", "server": self.server.name, **await explained(await self._now(), search)}

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
        with faults():
            return await residue(self._writer.reading.database, probes)

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
            # Read where it is written, and for as long as it takes.
            database = self._writer.reading.database
            snapshot = replace(await self._now(), database=database, session=None, limit=0)
            return await reindexed(snapshot, self._writer.turns, types, extract, progress)

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
        if self.numbering is not None:
            await self.numbering.close()
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
    groups = Groups(
        client, turns, Snapshot(primary, compiler, 0, limit), guard, records, blobs, settings, clock,
        server.transactions,
    )  # fmt: skip
    # Who reads other members than the primary must find there what the head, which the primary has, tells of.
    # https://www.mongodb.com/docs/manual/core/causal-consistency-read-write-concerns/
    far = database.read_preference != ReadPreference.PRIMARY
    session = client.start_session(causal_consistency=True) if far else None
    snapshot, writer = Snapshot(database, compiler, 0, limit, session), Writer(groups, written)
    store = MongoStore(server, snapshot, writer, settings, clock)
    try:
        with faults():
            await store.begin_numbering()
    except BaseException:
        await store.close()
        raise
    return store


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
