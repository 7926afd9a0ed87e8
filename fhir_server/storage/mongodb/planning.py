"""What a commit comes to: every precondition is checked within the turn, then its writes are added to it."""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from pymongo.asynchronous.client_session import AsyncClientSession

from fhir_server.model.json import same_content
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body, Version
from fhir_server.search.entries import IndexEntries
from fhir_server.search.match import matches
from fhir_server.storage.audit import AuditRow
from fhir_server.storage.base import (
    Audit,
    BlobChange,
    Change,
    CommitResult,
    ConditionChanged,
    MissingTargets,
    RecordChange,
    RecordChanged,
    StillReferenced,
    VersionChanged,
    Written,
)
from fhir_server.storage.mongodb.audit import audit_document
from fhir_server.storage.mongodb.blobs import MongoBlobs
from fhir_server.storage.mongodb.document import WITH_ENTRIES, Document, document_of, entries_of, version_of
from fhir_server.storage.mongodb.records import MongoRecords, fields_of, name_of, record_document
from fhir_server.storage.mongodb.resolve import resolve
from fhir_server.storage.mongodb.rows import ALONE, Row, Snapshot
from fhir_server.storage.mongodb.search import keys_of
from fhir_server.storage.mongodb.turns import Turn, Turns
from fhir_server.storage.mongodb.waiting import take


@dataclass(frozen=True, slots=True)
class Wish:
    """A commit that somebody asked for."""

    changes: Sequence[Change] = ()
    records: Sequence[RecordChange] = ()
    blobs: Sequence[BlobChange] = ()
    audit: Audit | None = None
    rows: Sequence[AuditRow] = ()
    first: Callable[[int], None] | None = None
    """Told the seq of the first audit row; of several tries the last one counts."""
    numbered: Callable[[bool], None] | None = None
    """Audit rows that wait come before those of this commit; told whether more of them do than a turn takes."""


@dataclass(slots=True)
class Planner:
    """Plans the commits of one turn, each on what those before it leave."""

    turn: Turn
    turns: Turns
    reading: Snapshot
    records: MongoRecords
    blobs: MongoBlobs
    now: int
    _current: dict[ResourceKey, tuple[Version, IndexEntries] | None] = field(default_factory=dict)
    _records: dict[tuple[str, str], Document | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """All commits of a turn have one instant, later than that of the turn before."""
        self.now = max(self.now, self.turn.head["time"] + 1)

    async def add(self, wish: Wish) -> CommitResult:
        """Check a commit and add what it writes; what is refused leaves nothing. Raises StoreError, ValueError."""
        if len({change.key for change in wish.changes}) != len(wish.changes):
            raise ValueError("a commit changes a resource once")
        if len({(change.collection, change.key) for change in wish.records}) != len(wish.records):
            raise ValueError("a commit changes a record once")
        await self._load([change.key for change in wish.changes])
        rows, written = await self._rows(wish.changes)
        await self._check_after(wish.changes, rows)
        records = [await self._record(change) for change in wish.records]
        self._check_unique_among(wish.records)
        await self.blobs.check(wish.blobs, self.turn.session)
        audited = [*(wish.audit(written) if wish.audit else ()), *wish.rows]
        if wish.numbered is not None and self.turn.session is not None:
            wish.numbered(await self._number(self.turn.session))
        return self._added(wish, rows, tuple(written), records, audited)

    async def _load(self, keys: Sequence[ResourceKey]) -> None:
        missing = [key for key in keys if key not in self._current]
        self._current |= dict.fromkeys(missing)
        async with aclosing(self._snapshot().live(missing, WITH_ENTRIES)) as found:
            async for each in found:
                self._current[ResourceKey(each["t"], each["i"])] = (version_of(each), entries_of(each))

    def _snapshot(self) -> Snapshot:
        wide = self.turn.wide.union(self.turn.head.get("wide", ()))
        return replace(self.reading, txid=self.turn.txid, session=self.turn.session, wide=frozenset(wide))

    async def _searched(self) -> Snapshot:
        """Return what a search within this turn sees."""
        await self.turns.flush(self.turn)
        return self._snapshot()

    async def _rows(self, changes: Sequence[Change]) -> tuple[list[tuple[Version, IndexEntries]], list[Written]]:
        rows: list[tuple[Version, IndexEntries]] = []
        written: list[Written] = []
        for change in changes:
            await self._check_before(change)
            row = self._new_row(change, len(rows))
            current = self._current[change.key]
            if row is None:
                written.append(Written(current[0] if current else None, changed=False, created=False))
                continue
            created = change.method != "DELETE" and (current is None or current[0].deleted)
            rows.append(row)
            written.append(Written(row[0], changed=True, created=created))
        return rows, written

    async def _check_before(self, change: Change) -> None:
        for condition in change.conditions:
            if await keys_of(await self._searched(), condition.search) != condition.found:
                raise ConditionChanged(str(change.key))
        current = self._current[change.key]
        if change.expected is None:
            return
        if change.expected == 0:
            holds = current is None or current[0].deleted
        else:
            holds = current is not None and current[0].version == change.expected
        if not holds:
            raise VersionChanged(change.key, current[0].version if current else 0)

    def _new_row(self, change: Change, number: int) -> tuple[Version, IndexEntries] | None:
        """Return the version to write, or None where there is nothing to change."""
        current = self._current[change.key]
        exists = current is not None and not current[0].deleted
        pid, txid = self.turn.head["pid"] + 1 + number, self.turn.txid + 1
        following = current[0].version + 1 if current else 1
        if change.method == "DELETE":
            if current is None or not exists:
                return None
            return Version(pid, change.key, following, txid, self.now, "DELETE", Body(b"", 0)), current[1]
        if current and exists and not change.force and same_content(current[0].body.data, change.body.data):
            return None
        return Version(pid, change.key, following, txid, self.now, change.method, change.body), change.entries

    async def _check_after(self, changes: Sequence[Change], rows: Sequence[tuple[Version, IndexEntries]]) -> None:
        """Check references against the state that the commit would leave."""
        after = {version.key: (version, entries) for version, entries in rows}
        await self._load([key for change in changes for key in change.requires if key not in after])
        for change in changes:
            missing = [key for key in change.requires if not _exists(after.get(key, self._current.get(key)))]
            if missing:
                raise MissingTargets(change.key, missing)
            if change.method == "DELETE" and change.keep_referenced and _exists(self._current[change.key]):
                referrers = await self._referrers(change, after)
                if referrers:
                    raise StillReferenced(change.key, referrers[:20])

    async def _referrers(
        self, change: Change, after: dict[ResourceKey, tuple[Version, IndexEntries]]
    ) -> list[ResourceKey]:
        snapshot = await self._searched()
        keys = snapshot.compiler.keys
        named = [keys.reference("", *_pair(change.key)), keys.named(*_pair(change.key))]
        found = [key for key, (version, entries) in after.items() if _names(version, entries, change.key)]
        async with aclosing(snapshot.rows(snapshot.keyed(named))) as rows:
            async for row in rows:
                if row.key in after or not _names(row.version, row.entries, change.key):
                    continue
                if await self._heeded(snapshot, change, row):
                    found.append(row.key)
        return sorted(found)

    async def _heeded(self, snapshot: Snapshot, change: Change, row: Row) -> bool:
        """Tell whether a reference of this resource counts for a delete."""
        if change.heeding.unrestricted:
            return True
        node = await resolve(snapshot, change.heeding.of(row.key.type), row.key.type)
        return matches(node, row.version, row.entries, ALONE)

    async def _record(self, change: RecordChange) -> tuple[str, str, Document | None]:
        place = (change.collection, change.key)
        declared = await self.records.declared(change.collection)
        if place not in self._records:
            rows = self.reading.database[name_of(change.collection)]
            self._records[place] = await rows.find_one({"_id": change.key}, session=self.turn.session)
        current = self._records[place]
        revision = int(current["r"]) if current else 0
        if change.expected is not None and change.expected != revision:
            raise RecordChanged(f"{change.collection} is at revision {revision}")
        if change.value is None:
            return (*place, None)
        document = record_document(declared, change.key, change.value, revision + 1)
        for name in (each.name for each in declared.fields if each.unique):
            for value in document["f"].get(name, ()):
                if await self._is_taken(change, name, value):
                    raise RecordChanged(f"{change.collection}: {name} is taken")
        return (*place, document)

    async def _is_taken(self, change: RecordChange, name: str, value: object) -> bool:
        planned = {key: each for (collection, key), each in self._records.items() if collection == change.collection}
        if any(each and value in each["f"].get(name, ()) for key, each in planned.items() if key != change.key):
            return True
        rows = self.reading.database[name_of(change.collection)]
        match = {f"f.{name}": value, "_id": {"$nin": [change.key, *planned]}}
        return await rows.find_one(match, {"_id": 1}, session=self.turn.session) is not None

    def _check_unique_among(self, changes: Sequence[RecordChange]) -> None:
        """Two records of one commit must not take the same value either."""
        taken: dict[tuple[str, str, object], str] = {}
        for change in changes:
            declared = self.records.known(change.collection)
            unique = {each.name for each in declared.fields if each.unique}
            fields = fields_of(declared, change.value) if change.value is not None else {}
            for name, value in [(each, value) for each in unique for value in fields.get(each, ())]:
                if taken.setdefault((change.collection, name, value), change.key) != change.key:
                    raise RecordChanged(f"{change.collection}: {name} is taken")

    async def _number(self, session: AsyncClientSession) -> bool:
        """Add audit rows that wait, once in a turn; tell whether more of them do than a turn takes."""
        if self.turn.taken is None:
            self.turn.taken = await take(self.reading.database, session)
            self._audit(self.turn.taken.rows)
        return self.turn.taken.more

    def _audit(self, rows: Sequence[AuditRow]) -> None:
        head = self.turn.head
        for row in rows:
            head["audit"] += 1
            head["audited"] = max(row.time, head["audited"])
            self.turn.audit.append(audit_document(head["audit"], head["audited"], row))
        if rows:
            head["noted"] = max(self.now, head.get("noted", 0) + 1)

    def _added(
        self,
        wish: Wish,
        rows: Sequence[tuple[Version, IndexEntries]],
        written: tuple[Written, ...],
        records: Sequence[tuple[str, str, Document | None]],
        audited: Sequence[AuditRow],
    ) -> CommitResult:
        """Add what was planned to the turn; nothing can fail from here on."""
        head = self.turn.head
        if wish.first is not None:
            wish.first(head["audit"] + 1)
        self._audit(audited)
        if not (rows or wish.records or wish.blobs):
            return CommitResult(0, 0, written)
        head["txid"], head["pid"] = head["txid"] + 1, head["pid"] + len(rows)
        head["time"] = self.now
        for version, entries in rows:
            self._add_version(version, entries)
        for name, key, document in records:
            self._records[name, key] = document
            self.turn.records.append((name, key, document))
        self.turn.blobs += [{"id": each.id, "attach": each.attach, "patient": each.patient} for each in wish.blobs]
        if rows:
            head["written"] = head["txid"]
        return CommitResult(head["txid"], self.now, written)

    def _add_version(self, version: Version, entries: IndexEntries) -> None:
        before = self._current[version.key]
        if before is not None:
            self.turn.ended.append((before[0], version.txid, version.last_updated))
        self.turn.counts[version.key.type] += (not version.deleted) - _exists(before)
        document = document_of(version, entries, self.reading.compiler.keys)
        if "w" in document:
            self.turn.wide.add(version.key.type)
        self.turn.versions.append(document)
        self._current[version.key] = (version, entries)


def _pair(key: ResourceKey) -> tuple[str, str]:
    return key.type, key.id


def _exists(row: tuple[Version, IndexEntries] | None) -> bool:
    return row is not None and not row[0].deleted


def _names(version: Version, entries: IndexEntries, key: ResourceKey) -> bool:
    """Tell whether a resource, or one contained in it, refers to another."""
    if version.deleted:
        return False
    inner = [row for _, _, contained in entries.contained for row in contained.references]
    return any((type_, id_) == (key.type, key.id) for _, type_, id_, _, _ in (*entries.references, *inner))
