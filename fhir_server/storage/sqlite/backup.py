"""Backup of a record while it serves, and restoring one.

The copy of the tables is made by `VACUUM INTO`: one read transaction, so the rows of one instant, beside which writers
go on; it leaves behind what was erased and the room it took. SQLite's page-by-page backup starts anew at each commit
unless it too holds a read transaction, and took twice the time (220 MB: 0.6 s against 0.3 s, both without fsync).
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import apsw

from fhir_server.encryption.keyring import FILE as KEYS
from fhir_server.settings import Settings
from fhir_server.storage.base import BackupRefused
from fhir_server.storage.sqlite.bare_copy import copy_bare
from fhir_server.storage.sqlite.blob_files import BlobFiles
from fhir_server.storage.sqlite.check import damage
from fhir_server.storage.sqlite.connection import connect, faults, fetch
from fhir_server.storage.sqlite.durable import copy, digest, make_folder, sync, write
from fhir_server.storage.sqlite.envelope_keys import copy_keys
from fhir_server.storage.sqlite.rekey_live import reading_whole
from fhir_server.storage.sqlite.schema import FORMAT
from fhir_server.storage.sqlite.sealing import keys_of, unlock

MANIFEST: Final = "manifest.json"
RECORD: Final = "record.db"
_STEPS: Final = 1_000_000  # virtual machine steps between two looks at how far the copy is

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds: its format, the last commit, the SHA-256 of each file by its path, the key that the record
    is under (empty: none), and the id of the file of patient keys that it needs."""

    format: int
    store: str
    txid: int
    last_updated: int
    files: dict[str, str]
    key: str = ""
    patient_keys: str = ""


Take = Callable[[Iterable[tuple[str, Path]]], Iterator[tuple[str, Callable[[], object]]]]
"""Takes large objects, ids with paths, into what all backups share; yields each id with what raises FileNotFoundError
where the object is gone."""


def backup(
    folder: Path,
    target: Path,
    settings: Settings,
    progress: Progress,
    patient_keys: Path | None = None,
    take: Take | None = None,
) -> Manifest:
    """Copy the record in `folder` to `target`, a folder that is new or empty; `progress(done, of)` in bytes.

    Blocks for as long as it takes: call it on a thread. The manifest is written last, so a copy without one is not
    complete. The keys of patients are no part of it: `patient_keys`, a folder elsewhere, is brought up to date. Large
    objects go to `target` too, or are handed to `take`.

    Raises:
        BackupRefused: the target is not empty, the copy is not sound, or there is no place for patient keys.
        StorageFull, StorageFault: the target cannot be written.
    """
    need_empty(target)
    with faults(), ExitStack() as kept:
        known = _patient_keys(folder, settings)
        _need_place(known, patient_keys, target)
        make_folder(target)
        kept.enter_context(reading_whole(folder))
        if (folder / KEYS).exists():  # first: a copy of the record is under the same key
            copy(folder / KEYS, target / KEYS)
        _copy_record(folder / RECORD, target / RECORD, settings, progress if not known else None)
        connection = _open_copy(target / RECORD, settings)
        try:
            problems = damage(connection, thorough=False)
            if problems:
                raise BackupRefused(f"the copy is not sound: {'; '.join(problems[:5])}")
            _copy_blobs(connection, folder, take or _into(target), progress)
            if (folder / KEYS).exists():  # again: blobs may have come under a new key meanwhile
                copy(folder / KEYS, target / KEYS)
            manifest = replace(_manifest(connection, target, _key(target, settings)), patient_keys=known)
            if patient_keys is not None and known:  # last: it has the keys of all that the copy holds
                copy_keys(folder, settings, patient_keys)
        finally:
            connection.close()
        write(target / MANIFEST, json.dumps(asdict(manifest), indent=1).encode())
        sync(target)
    return manifest


def restore(source: Path, folder: Path) -> Manifest:
    """Copy a backup to `folder`, which must be new or empty, after checking every file of it.

    Raises:
        BackupRefused: not a complete backup, of a newer format, damaged, or the folder is not empty.
    """
    need_empty(folder)
    manifest = read_manifest(source)
    need_known(manifest)
    with faults():
        for name, wanted in manifest.files.items():
            if digest(source / name) != wanted:
                raise BackupRefused(f"{source / name} is not what the backup wrote")
        make_folder(folder)
        for name in sorted(manifest.files, key=lambda name: name == RECORD):  # the record last: it makes the store
            copy(source / name, folder / name)
        sync(folder)
    return manifest


def need_known(manifest: Manifest) -> None:
    """See that a backup is of a format that is known here. Raises BackupRefused."""
    if manifest.format > FORMAT:
        raise BackupRefused(f"the backup has format {manifest.format}, this server knows up to {FORMAT}")


def read_manifest(source: Path) -> Manifest:
    """Return the manifest of a backup. Raises BackupRefused where there is none that can be read."""
    try:
        return parse_manifest((source / MANIFEST).read_bytes(), str(source))
    except OSError as error:
        raise BackupRefused(f"{source} holds no complete backup: {error}") from None


def parse_manifest(text: bytes, where: str) -> Manifest:
    """Return the manifest of a backup that is somewhere. Raises BackupRefused."""
    try:
        manifest = Manifest(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise BackupRefused(f"{where} holds no complete backup: {error}") from None
    if any(Path(name).is_absolute() or ".." in Path(name).parts for name in manifest.files):
        raise BackupRefused(f"{where}/{MANIFEST} names files outside the backup")
    return manifest


def whole_copy(folder: Path, target: Path, settings: Settings) -> Manifest:
    """Copy a record with its index, before its format changes; it stays beside the record, and so do its keys."""
    need_empty(target)
    with faults():
        make_folder(target)
        if (folder / KEYS).exists():
            copy(folder / KEYS, target / KEYS)
        _copy_record(folder / RECORD, target / RECORD, settings, lambda done, of: None)
        with closing(_open_copy(target / RECORD, settings)) as connection:
            manifest = _manifest(connection, target, _key(target, settings))
        write(target / MANIFEST, json.dumps(asdict(manifest), indent=1).encode())
        sync(target)
    return manifest


def _patient_keys(folder: Path, settings: Settings) -> str:
    """Return the id of the file of patient keys that the record needs; empty for none."""
    with closing(connect(folder / RECORD, settings, writer=False)) as connection:
        rows = fetch(connection, "SELECT value FROM meta WHERE key='patient_keys'")
    return str(rows[0][0]) if rows else ""


def _need_place(known: str, place: Path | None, target: Path) -> None:
    if known and place is None:
        raise BackupRefused(
            "the keys of patients are no part of a backup, and without them it cannot be read: say where their copy "
            "is to be kept, apart from all backups (`--patient-keys-copy FOLDER`, which is a setting, too)"
        )
    if known and place is not None and place.absolute().is_relative_to(target.absolute()):
        raise BackupRefused(f"{place} is within the backup: keys of patients that are erased later must not be in it")


def _copy_record(record: Path, target: Path, settings: Settings, progress: Progress | None) -> None:
    target.touch(mode=0o600)  # SQLite would let others read it
    if progress is None:
        keys = keys_of(record.parent, settings)()
        assert keys is not None
        copy_bare(record, target, settings, keys)
        sync(target)
        return
    source = connect(record, settings, writer=False)
    try:
        pages, size = (fetch(source, f"PRAGMA {name}")[0][0] for name in ("page_count", "page_size"))

        def look() -> bool:
            progress(min(_size(target), pages * size), pages * size)
            return False  # go on

        source.set_progress_handler(look, _STEPS)
        fetch(source, "PRAGMA query_only = off")  # the copy counts as a write
        source.execute("VACUUM INTO ?", (str(target),))
        progress(pages * size, pages * size)
    finally:
        source.close()
    sync(target)


def _open_copy(path: Path, settings: Settings) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    unlock(connection, path, settings)
    fetch(connection, "PRAGMA journal_mode = delete")  # so that the copy is one file
    return connection


def _into(target: Path) -> Take:
    copies = BlobFiles(target / "blobs", durable=True)

    def take(blobs: Iterable[tuple[str, Path]]) -> Iterator[tuple[str, Callable[[], object]]]:
        for id_, source in blobs:
            yield id_, partial(copy, source, copies.path(id_))

    return take


def _copy_blobs(connection: apsw.Connection, folder: Path, take: Take, progress: Progress) -> None:
    """Copy the attached blobs. One that a commit released meanwhile is left out, and its row with it."""
    sources = BlobFiles(folder / "blobs", durable=True)
    sizes: dict[str, int] = dict(fetch(connection, "SELECT id, size FROM blob"))
    total, done = sum(sizes.values()), 0
    for id_, outcome in take((id_, sources.path(id_)) for id_ in sizes):
        try:
            outcome()
        except FileNotFoundError:
            connection.execute("DELETE FROM blob WHERE id=?", (id_,))
        done += sizes[id_]
        progress(done, total)


def _key(folder: Path, settings: Settings) -> str:
    keys = keys_of(folder, settings)()
    return keys.ring.record if keys else ""


def _manifest(connection: apsw.Connection, target: Path, key: str) -> Manifest:
    meta = dict(fetch(connection, "SELECT key, value FROM meta"))
    log = fetch(connection, "SELECT txid, last_updated FROM tx ORDER BY txid DESC LIMIT 1")
    txid, last_updated = log[0] if log else (0, 0)
    paths = sorted(path for path in target.rglob("*") if path.is_file())
    files = {str(path.relative_to(target)): digest(path) for path in _settled(paths)}
    return Manifest(meta["format"], meta["store"], txid, last_updated, files, key)


def _settled(paths: Iterable[Path]) -> Iterable[Path]:
    return (path for path in paths if not path.name.endswith(("-journal", "-wal", "-shm")))


def need_empty(folder: Path) -> None:
    """Raise BackupRefused unless the folder is new or empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BackupRefused(f"{folder} is not an empty folder")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
