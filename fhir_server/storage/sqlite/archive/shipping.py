"""Bringing what writers noted into the archive: a round every few seconds, on a thread of the folder's owner."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import apsw

from fhir_server.encryption.keyring import FILE as KEYS
from fhir_server.settings import Settings
from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.archive import catalog, lineage, segments
from fhir_server.storage.sqlite.archive.entries import BLOBS, Entry
from fhir_server.storage.sqlite.archive.entries import KEYS as PATIENTS
from fhir_server.storage.sqlite.archive.kinship import need_kin
from fhir_server.storage.sqlite.archive.places.place import Spot
from fhir_server.storage.sqlite.archive.pool import Pool
from fhir_server.storage.sqlite.archive.seals import Seals
from fhir_server.storage.sqlite.archive.spool import Spool
from fhir_server.storage.sqlite.blob_files import BlobFiles
from fhir_server.storage.sqlite.connection import connect, faults, fetch
from fhir_server.storage.sqlite.envelope_keys import copy_keys
from fhir_server.storage.sqlite.sealing import keys_of
from fhir_server.storage.sqlite.turn import Turn

_MOST: Final = 32_000_000  # bytes of entries in one segment, about


@dataclass(frozen=True, slots=True)
class Round:
    """What a round came to: bytes that went to the archive, the last entry there, bytes that wait still, and whether
    it needs a base backup, with the reason."""

    shipped: int
    number: int
    waiting: int
    needs_base: str = ""


class Shipper:
    """Of one tenant: `folder` is that of the store, `tenant` that of its archive."""

    def __init__(self, folder: Path, tenant: Spot, settings: Settings) -> None:
        self._folder, self._tenant, self._settings = folder, tenant, settings
        self._spool, self._pool = Spool(folder), Pool(tenant / "blobs")
        self._keys = keys_of(folder, settings)
        self._name, self._shipped, self._txid, self._store = "", 0, -1, ""
        self._saved_keys = ""
        self._lost = ""
        self._seen: tuple[object, ...] = ()

    def round(self) -> Round:
        """Bring all that is committed by now to the archive. Raises BackupRefused, OSError, StoreError."""
        with faults(self._folder.name):
            name, count = self._state()
            if name != self._name:
                self._learn(name)
            if count < self._shipped:  # an older record was put in the place of the one that was archived
                name, count = self._anew()
            shipped = 0
            while self._shipped < count:
                shipped += self._ship(count)
            self._clean(count)
            return Round(shipped, self._shipped, self._spool.size(), self._lost or self._wanting())

    def idle(self) -> bool:
        """Tell whether nothing was written since the last round, by the look of the files alone."""
        seen = tuple(_stamp(path) for path in (self._folder / "record.db", self._folder / "record.db-wal"))
        seen, self._seen = self._seen, seen
        return bool(seen) and seen == self._seen

    def waiting(self) -> int:
        """Return the bytes that wait on the local disk."""
        return self._spool.size()

    def give_up(self) -> None:
        """Drop what waits, because the disk is needed; the next base backup heals the gap."""
        self._spool.empty()
        self._lost = "what waited for the archive was dropped"

    def based(self) -> None:
        """Note that there is a new base backup."""
        self._lost = ""

    def look_again(self) -> None:
        """Ask the archive anew how far it is: it may be another one."""
        self._name, self._saved_keys, self._seen = "", "", ()

    def _state(self) -> tuple[str, int]:
        with closing(connect(self._folder / "record.db", self._settings, writer=False)) as connection:
            name, count = lineage.state(connection)
            self._store = fetch(connection, "SELECT value FROM meta WHERE key='store'")[0][0]
        return (name, count) if name else self._settled()

    def _settled(self) -> tuple[str, int]:
        """Begin a lineage where no write has done so yet."""
        sealed = self._keys() is not None
        return self._in_turn(lambda connection: lineage.settle(connection, self._folder, sealed=sealed))

    def _anew(self) -> tuple[str, int]:
        name, count = self._in_turn(lambda connection: lineage.begin(connection, self._folder))
        self._learn(name)
        return name, count

    def _in_turn(self, run: Callable[[apsw.Connection], object]) -> tuple[str, int]:
        record = self._folder / "record.db"
        with (
            closing(Turn(self._folder)) as turn,
            turn.taken(),
            closing(connect(record, self._settings, writer=True)) as connection,
        ):
            with connection:
                run(connection)
            return lineage.state(connection)

    def _learn(self, name: str) -> None:
        """See how far the archive of a lineage is. Raises BackupRefused: it must not be begun there."""
        folder = self._tenant / name
        if name not in self._tenant.folders():
            need_kin(self._tenant, self._store)
        known = segments.listed(folder)
        self._name, self._shipped, self._txid = name, known[-1].last if known else 0, -1
        self._lost = ""
        if known:
            self._txid = known[-1].head().txid
        based = catalog.bases(folder)
        if not based:
            return
        try:
            catalog.following(folder, based[-1])
        except BackupRefused as error:  # a gap that was not healed before the last process ended
            self._lost = str(error)
        if based[-1].facts.number > self._shipped:
            self._shipped, self._txid = based[-1].facts.number, based[-1].facts.txid

    def _ship(self, count: int) -> int:
        """Bring the next entries, up to `count`, and note where some are missing; return their bytes."""
        entries = self._spool.read(self._shipped + 1, count, _MOST)
        following = _following(entries, self._shipped, self._txid)
        if not following:
            there = entries[0].number if entries else count + 1
            self._lost = f"entries {self._shipped + 1} to {max(there - 1, self._shipped + 1)} are missing"
            broken = bool(entries) and entries[0].number == self._shipped + 1
            self._shipped, self._txid = (self._shipped if broken else there - 1), -1
            return 0
        self._save_keys(following)
        blobs = self._take_blobs(following)
        segments.write(self._tenant / self._name, following, blobs, packed=self._keys() is None)
        self._shipped, self._txid = following[-1].number, following[-1].txid
        return sum(len(entry.data) for entry in following)

    def _save_keys(self, entries: Sequence[Entry]) -> None:
        """Keep each state of the keys, first: what comes next may be under the newest."""
        if (self._folder / KEYS).exists():
            data = (self._folder / KEYS).read_bytes()
            digest = sha256(data).hexdigest()[:16]
            if digest != self._saved_keys:
                (self._tenant / self._name / f"keys/{int(time.time())}-{digest}.json").put(data)
                self._saved_keys = digest
        if self._settings.patient_keys_copy is not None and any(each.flags & PATIENTS for each in entries):
            copy_keys(self._folder, self._settings, self._settings.patient_keys_copy, new=True)

    def _take_blobs(self, entries: Sequence[Entry]) -> list[str]:
        """Copy the large objects that the entries attach; one that is released by now is gone, and so is its row."""
        seals, files = Seals(self._name), BlobFiles(self._folder / "blobs", durable=True)
        attached = dict.fromkeys(
            blob for entry in entries if entry.flags & BLOBS for blob in attached_by(seals.opened(entry, self._keys()))
        )
        taken = self._pool.take_all((blob, files.path(blob)) for blob in list(attached))
        for blob, outcome in taken:
            try:
                outcome()
            except FileNotFoundError:
                del attached[blob]
        return list(attached)

    def _clean(self, count: int) -> None:
        """Remove what the archive has; where nobody writes just now, all of it."""
        self._spool.drop(self._shipped)
        if self._spool.size() == 0 or self._shipped != count:
            return
        record = self._folder / "record.db"
        with (
            closing(Turn(self._folder)) as turn,
            turn.taken(),
            closing(connect(record, self._settings, writer=False)) as connection,
        ):
            if lineage.state(connection) == (self._name, self._shipped):
                self._spool.empty()

    def _wanting(self) -> str:
        if self._name and next(catalog.complete(self._tenant / self._name), None) is None:
            return "there is no base backup yet"
        return ""


def attached_by(patchset: bytes) -> list[str]:
    """Return the ids of the large objects whose rows a patchset makes or changes."""
    changes = (change for change in apsw.Changeset.iter(patchset) if change.name == "blob" and change.op != "DELETE")
    rows = (change.new if change.op == "INSERT" else change.old for change in changes)
    return [str(row[0]) for row in rows if row is not None]


def _following(entries: Sequence[Entry], number: int, txid: int) -> list[Entry]:
    """Return those that go on from an entry without a gap, in their numbers and in their txids."""
    found: list[Entry] = []
    for entry in entries:
        if entry.number != number + 1 or (txid >= 0 and entry.before != txid):
            break
        found.append(entry)
        number, txid = entry.number, entry.txid
    return found


def _stamp(path: Path) -> object:
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    return state.st_mtime_ns, state.st_size
