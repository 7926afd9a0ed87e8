"""Restoring a tenant from its archive to an instant: a base backup, and after it the entries up to there.

The record is made in a folder beside its place and appears there whole. Its index is made anew when it is opened: of
what came after the base only, where the base has an index and it was not made anew since; else all of it.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import apsw

from fhir_server.encryption.keyring import FILE as KEYS
from fhir_server.encryption.keyring import Keyring, read_keyring
from fhir_server.settings import Settings
from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.archive import lineage
from fhir_server.storage.sqlite.archive.catalog import NEWEST, Base, Plan, Until, plan
from fhir_server.storage.sqlite.archive.entries import Entry
from fhir_server.storage.sqlite.archive.places.crew import each_of
from fhir_server.storage.sqlite.archive.places.place import Spot
from fhir_server.storage.sqlite.archive.pool import Pool
from fhir_server.storage.sqlite.archive.seals import Seals
from fhir_server.storage.sqlite.archive.segments import Segment
from fhir_server.storage.sqlite.backup import RECORD, need_empty, need_known
from fhir_server.storage.sqlite.bare_copy import INDEX, MISSING
from fhir_server.storage.sqlite.blob_files import BlobFiles
from fhir_server.storage.sqlite.connection import faults, fetch
from fhir_server.storage.sqlite.durable import digest, make_folder, sync, write
from fhir_server.storage.sqlite.erase import drop_orphans
from fhir_server.storage.sqlite.schema import CURRENT
from fhir_server.storage.sqlite.sealing import keys_of, unlock
from fhir_server.storage.sqlite.upkeep import SLICE, reindex_marker

_AT_ONCE: Final = 64_000_000  # bytes of patchsets in one transaction
_EPOCHS: Final = "SELECT key, value FROM meta WHERE key IN ('epoch', 'indexed', 'pid')"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored: the lineage, the last entry, the newest commit and its time, how many entries came after the
    base, which resources are to be indexed anew (`all`, `new`, `none`), and large objects that the archive lacks."""

    lineage: str
    number: int
    txid: int
    last_updated: int
    entries: int
    index: str
    lost_blobs: tuple[str, ...] = ()


def restore_to(
    tenant: Spot, folder: Path, settings: Settings, until: Until = NEWEST, unlock_keys: Callable[[], object] = int
) -> Restored:
    """Restore the archive of a tenant into `folder`, which must be new or empty; `unlock_keys` is called when its
    `keys.json` is there, beside its place, and before anything is opened with it.

    Raises:
        BackupRefused: the archive does not lead there, or a file of it is damaged, missing or in another's place.
        OSError: it cannot be read.
        StorageFull, StorageFault: the folder cannot be written, or the keys do not open the archive.
    """
    need_empty(folder)
    way = plan(tenant, until)
    draft = folder.with_name(f".restoring-{folder.name}")
    shutil.rmtree(draft, ignore_errors=True)  # of a restore that was stopped
    with faults(folder.name):
        _bring_base(way.base, draft)
        _gather_keys(way.lineage, draft)
        unlock_keys()
        restored = _Replay(way, draft, settings).run(until)
        lost = _bring_blobs(draft, tenant, settings)
        sync(draft)
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
        sync(folder.parent)
    return replace(restored, lost_blobs=tuple(lost))


def _bring_base(base: Base, draft: Path) -> None:
    """Copy the files of a base backup that its manifest names; each must be what it was. Raises BackupRefused."""
    manifest = base.manifest()
    need_known(manifest)
    make_folder(draft)
    for name in sorted(manifest.files, key=lambda name: name == RECORD):  # the record last: it makes the store
        with suppress(FileNotFoundError):
            (base.spot / name).fetch(draft / name)
            sync(draft / name)
        if digest(draft / name) != manifest.files[name]:
            raise BackupRefused(f"{base.spot / name} is not what the backup wrote")


class _Replay:
    """The entries of a plan, applied to the base."""

    def __init__(self, way: Plan, folder: Path, settings: Settings) -> None:
        self._way, self._folder, self._settings = way, folder, settings
        self._seals, self._keys = Seals(way.lineage.name), keys_of(folder, settings)
        self._at = way.base.facts.number

    def run(self, until: Until) -> Restored:
        with closing(_opened(self._folder / RECORD, self._settings)) as connection:
            before = dict(fetch(connection, _EPOCHS))
            bare = fetch(connection, "SELECT value FROM meta WHERE key='index'") == [(MISSING,)]
            for entries in _gathered(_wanted(self._way, until)):
                with connection:
                    self._apply(connection, entries)
            index = _prepare_index(connection, before, self._way.base.facts.txid, bare=bare)
            name, number = lineage.state(connection)
            if (name, number) != (self._way.lineage.name, self._at):
                raise BackupRefused(f"{self._way.base.spot} and its segments lead to entry {number} of {name or '-'}")
            with connection:
                lineage.end(connection)
            fetch(connection, "PRAGMA journal_mode=delete")
            rows = fetch(connection, "SELECT txid, last_updated FROM tx ORDER BY txid DESC LIMIT 1") or [(0, 0)]
            txid, last_updated = rows[0]
        return Restored(name, number, txid, last_updated, number - self._way.base.facts.number, index)

    def _apply(self, connection: apsw.Connection, entries: Sequence[tuple[Segment, Entry]]) -> None:
        for segment, entry in entries:
            try:
                apsw.Changeset.apply(self._seals.opened(entry, self._keys()), connection, conflict=_conflict)
            except apsw.AbortError:
                raise BackupRefused(
                    f"{segment.spot}: entry {entry.number} does not fit what came before it: segments are of another "
                    "base backup, or were changed"
                ) from None
            self._at = entry.number


def _wanted(way: Plan, until: Until) -> Iterator[tuple[Segment, Entry]]:
    """Yield the entries up to the end. The times of commits only grow; what was written without a commit goes by the
    clock, which may not."""
    txid, number = way.base.facts.txid, way.base.facts.number
    late = False
    held: list[tuple[Segment, Entry]] = []
    for segment in way.segments:
        for entry in segment.read()[1]:
            if entry.number <= number:
                continue
            if entry.number != number + 1 or entry.before != txid:
                raise BackupRefused(
                    f"{segment.spot}: entry {entry.number} does not follow entry {number} at txid {txid}"
                )
            number, txid = entry.number, entry.txid
            if entry.commits:
                if _beyond(entry, until):
                    return
                yield from held
                held, late = [], False
                yield segment, entry
            else:
                late = late or (until.time is not None and entry.time > until.time)
                if late:
                    held.append((segment, entry))  # unless a commit from before the instant follows
                else:
                    yield segment, entry


def _beyond(entry: Entry, until: Until) -> bool:
    return (until.time is not None and entry.time > until.time) or (until.txid is not None and entry.txid > until.txid)


def _gathered(entries: Iterator[tuple[Segment, Entry]]) -> Iterator[list[tuple[Segment, Entry]]]:
    some: list[tuple[Segment, Entry]] = []
    size = 0
    for each in entries:
        some.append(each)
        size += len(each[1].data)
        if size > _AT_ONCE:
            yield some
            some, size = [], 0
    if some:
        yield some


def _conflict(kind: int, change: "apsw.TableChange") -> int:
    """Refuse all that does not fit, but for the rows of large objects that were gone when the base was copied."""
    gone = change.name == "blob" and kind == apsw.SQLITE_CHANGESET_NOTFOUND
    return apsw.SQLITE_CHANGESET_OMIT if gone else apsw.SQLITE_CHANGESET_ABORT


def _opened(record: Path, settings: Settings) -> apsw.Connection:
    """Open the draft of a record: it is thrown away where this does not come to its end, so nothing is synced yet."""
    connection = apsw.Connection(str(record))
    try:
        unlock(connection, record, settings)
        for pragma in ("journal_mode=memory", "synchronous=off", "cache_size=-200000", "secure_delete=on"):
            fetch(connection, f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare_index(connection: apsw.Connection, before: dict[str, Any], txid: int, *, bare: bool) -> str:
    """Have the index made when the record is opened; return of which resources."""
    after = dict(fetch(connection, _EPOCHS))
    new = not bare and before.get("indexed") == after.get("indexed")
    with connection:
        connection.execute("DELETE FROM meta WHERE key='reindex'")
        if new and before["epoch"] != after["epoch"]:
            drop_orphans(connection, SLICE)  # of what was purged since
        if new and before["pid"] == after["pid"]:
            return "none"
        connection.execute("INSERT OR REPLACE INTO meta VALUES('index', ?)", (MISSING,))
        if new:
            marker = reindex_marker((), before["pid"], 0)
            connection.execute("INSERT INTO meta VALUES('reindex', ?)", (marker,))
            connection.execute(
                "INSERT OR IGNORE INTO stale SELECT pid, to_txid FROM version "
                f"WHERE to_txid>? AND to_txid<{CURRENT} AND pid<=?",
                (txid, before["pid"]),
            )
        elif not bare:
            for table in sorted(INDEX):
                connection.execute(f'DELETE FROM "{table}"')
            connection.execute("INSERT INTO system VALUES(0, '')")
    return "new" if new else "all"


def _gather_keys(source: Spot, folder: Path) -> None:
    """Let the keyring have every key under which something of the archive may be."""
    ring = read_keyring(folder)
    if ring is None:
        return
    kept = source / "keys"
    for name in sorted(each.name for each in kept.found() if each.name.endswith(".json")):
        ring = replace(ring, keys={**_ring((kept / name).get(), folder).keys, **ring.keys})
    ring.save(folder)


def _ring(data: bytes, folder: Path) -> Keyring:
    place = folder / ".ring"
    place.mkdir(exist_ok=True)
    try:
        write(place / KEYS, data)
        ring = read_keyring(place)
        assert ring is not None
        return ring
    finally:
        shutil.rmtree(place)


def _bring_blobs(draft: Path, tenant: Spot, settings: Settings) -> list[str]:
    """Copy the attached blobs out of the archive; those that it does not have lose their rows, and are returned."""
    pool, lost = Pool(tenant / "blobs"), list[str]()
    with closing(_opened(draft / RECORD, settings)) as connection:
        files = BlobFiles(draft / "blobs", durable=True, keys=keys_of(draft, settings))
        rows: list[tuple[str, int]] = fetch(connection, "SELECT id, size FROM blob")
        bring = each_of(rows, lambda row: pool.spot(row[0]).fetch(files.path(row[0])), tenant.place.at_once)
        for (blob, size), outcome in bring:
            try:
                outcome()
            except FileNotFoundError:
                lost.append(blob)
                continue
            if files.size(blob) != size:
                raise BackupRefused(f"{pool.spot(blob)} has not the {size} bytes that it had")
        connection.executemany("DELETE FROM blob WHERE id=?", [(blob,) for blob in lost])
    return lost
