"""Bringing a tenant's files under its current key: a plain store, or one whose keys were rotated.

The record is copied under the new key, looked through, and put in the place of the old one; `keys.json` says before and
after the rename which key the file is under, so whoever comes after a crash knows. Only the owner does this, before
anybody serves. Blobs are replaced one by one, while the server serves.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import Final
from urllib.parse import quote

import apsw

from fhir_server.encryption.blob_keys import BlobKeys
from fhir_server.encryption.chunks import CHUNK, SealedReader, SealedWriter, key_name
from fhir_server.encryption.faults import Damaged
from fhir_server.encryption.keyring import Keyring, read_keyring
from fhir_server.encryption.unlocked import Unlocked
from fhir_server.settings import Settings
from fhir_server.storage.base import StorageFault
from fhir_server.storage.sqlite.blob_files import BlobReader, PlainReader
from fhir_server.storage.sqlite.check import damage
from fhir_server.storage.sqlite.connection import faults, fetch
from fhir_server.storage.sqlite.durable import sync
from fhir_server.storage.sqlite.sealing import CIPHER, give_key, keys_of, purpose
from fhir_server.storage.sqlite.turn import Turn

RECORD: Final = "record.db"
_DRAFT: Final = "record.db.new"
_LOG: Final = ("record.db-wal", "record.db-shm")
_TEXT: Final = ("text.db", "text.db-wal", "text.db-shm")
_ZEROS: Final = bytes(1_048_576)

Progress = Callable[[int, int], None]


def bring_up_to_date(folder: Path, settings: Settings) -> bool:
    """Bring the record under the current key; tell whether anything was done. Only while nobody serves it.

    Raises:
        StorageFault: the record or its keys cannot be opened, or the copy is not what the record is.
    """
    ring = settled(folder)
    if ring is None or not (folder / RECORD).exists():
        return False
    if ring.record != ring.current:
        keys = _keys(folder, settings)
        with faults():
            _copy(folder, keys, settle=True)
            _swap(folder, keys.ring)
    return retire(folder) or ring.record != ring.current


def seal_blobs(folder: Path, settings: Settings, progress: Progress = lambda done, of: None) -> int:
    """Bring the blobs that are under another key, or none, under the current one; return how many were.

    Those that a request is just writing are left for the next time.
    """
    keys = _keys(folder, settings)
    turn = Turn(folder)
    try:
        _drop_drafts(folder)
        paths = list(_blobs(folder))
        done = 0
        for number, path in enumerate(paths, 1):
            with faults():
                done += _seal(path, keys, turn, plain=not keys.ring.record)
            progress(number, len(paths))
        return done
    finally:
        turn.close()


def behind(folder: Path) -> int:
    """Return how many blobs are not under the current key."""
    ring = read_keyring(folder)
    if ring is None:
        return 0
    names = map(key_name, _blobs(folder))
    return sum(name != ring.current and not name.startswith("p") for name in names)


def plain_copies(folder: Path) -> list[Path]:
    """Return the copies that a change of format left behind, which are not encrypted."""
    return [path for path in folder.glob("before-format-*") if read_keyring(path) is None]


def copy_under_current(folder: Path, settings: Settings) -> None:
    """Make the copy while others read the record, and nobody writes."""
    _copy(folder, _keys(folder, settings), settle=False)


def put_in_place(folder: Path) -> None:
    """Put the copy in the place of a record whose log file is empty; who has the old one open keeps that."""
    ring = read_keyring(folder)
    assert ring is not None
    for name in _LOG:  # its log file and the memory beside it belong to the old file
        _remove(folder / name, scrub=False)
    _swap(folder, ring)


def settled(folder: Path) -> Keyring | None:
    """Return the keyring, after what a crash left half done was told from the files."""
    ring = read_keyring(folder)
    if ring is None:
        return None
    draft = folder / _DRAFT
    if ring.rewriting:
        ring = replace(ring, record=ring.record if draft.exists() else ring.rewriting, rewriting="")
        ring.save(folder)
    for path in folder.glob(f"{_DRAFT}*"):
        path.unlink()
    return ring


def _copy(folder: Path, keys: Unlocked, *, settle: bool) -> None:
    """Copy the record under the current key; `settle` leaves the source without a log file, which others prevent."""
    draft = folder / _DRAFT
    key = keys.key(keys.ring.current, purpose(folder / RECORD))
    with closing(_opened(folder, keys, keys.ring.record, RECORD)) as source:
        if not settle:
            source.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        elif fetch(source, "PRAGMA journal_mode = delete") != [("delete",)]:
            raise StorageFault(f"{folder / RECORD} is in use")
        source.execute("VACUUM INTO ?", (f"file:{quote(str(draft))}?cipher={CIPHER}&key=raw:{key.hex()}",))
        with closing(_opened(folder, keys, keys.ring.current, _DRAFT)) as copy:
            problems = damage(copy, thorough=False)
            if problems or _counts(source) != _counts(copy):
                raise StorageFault(f"the copy of {folder / RECORD} is not sound: {problems or 'rows are missing'}")
            fetch(copy, "PRAGMA journal_mode = wal")  # as those expect who open it while others have it open
    sync(draft)


def _opened(folder: Path, keys: Unlocked, name: str, file: str) -> apsw.Connection:
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(str((folder / file).absolute()), flags=flags)
    if name:
        give_key(connection, folder / file, keys.key(name, purpose(folder / RECORD)), name)
    return connection


def _counts(connection: apsw.Connection) -> list[tuple[str, int]]:
    tables = fetch(connection, "SELECT name FROM sqlite_schema WHERE type='table' ORDER BY name")
    return [(name, fetch(connection, f'SELECT count(*) FROM "{name}"')[0][0]) for (name,) in tables]


def _swap(folder: Path, ring: Keyring) -> None:
    plain = not ring.record
    for name in _TEXT:  # it is made anew from the record
        _remove(folder / name, scrub=plain)
    ring = replace(ring, rewriting=ring.current)
    ring.save(folder)
    _put(folder / _DRAFT, folder / RECORD, scrub=plain)
    replace(ring, record=ring.current, rewriting="").save(folder)


def retire(folder: Path) -> bool:
    """Forget the keys that nothing is under any more; what they sealed elsewhere is beyond recovery without a backup
    of `keys.json`."""
    ring = read_keyring(folder)
    if ring is None or len(ring.keys) == 1 or ring.record != ring.current or behind(folder):
        return False
    ring.only(ring.current).save(folder)
    return True


def _seal(path: Path, keys: Unlocked, turn: Turn, *, plain: bool) -> bool:
    name = key_name(path)
    if not plain and name.startswith("p"):
        return False  # under the key of a patient
    if name == keys.ring.current and (not plain or _opens(path, keys)):
        return False
    if not plain and _staged(path):
        return False
    draft = path.with_name(f"{path.name}.new")
    reader: BlobReader = PlainReader(path) if plain else SealedReader(path, BlobKeys(keys), path.name)
    with closing(reader), closing(SealedWriter(FileIO(draft, "xb"), BlobKeys(keys), path.name)) as writer:
        at = 0
        while data := reader.pread(4 * CHUNK, at):
            at += writer.write(data)
        writer.finish()
        os.fsync(writer.fileno())
    with turn.taken():  # a commit may have released it meanwhile
        if not path.exists():
            draft.unlink()
            return False
        _put(draft, path, scrub=plain)
    return True


def _opens(path: Path, keys: Unlocked) -> bool:
    """Tell whether it is what it says: a plain blob may look as if it were encrypted, if its sender wanted that."""
    try:
        with closing(SealedReader(path, BlobKeys(keys), path.name)) as reader:
            reader.pread(1, 0)
    except Damaged:
        return False
    return True


def _staged(path: Path) -> bool:
    return any((path.parent.parent / "staged").glob(f"{path.name}*"))


def _blobs(folder: Path) -> Iterator[Path]:
    for path in sorted((folder / "blobs").glob("[0-9a-f][0-9a-f]/*")):
        if path.suffix != ".new":
            yield path


def _drop_drafts(folder: Path) -> None:
    for path in (folder / "blobs").glob("[0-9a-f][0-9a-f]/*.new"):
        path.unlink()


def _keys(folder: Path, settings: Settings) -> Unlocked:
    keys = keys_of(folder, settings)()
    if keys is None:
        raise StorageFault(f"{folder} has no keys")
    return keys


def _put(draft: Path, path: Path, *, scrub: bool) -> None:
    """Put one file in the place of another, whose bytes are overwritten where they were plain."""
    with _scrubbed(path, scrub=scrub):
        draft.replace(path)
        sync(path.parent)


def _remove(path: Path, *, scrub: bool) -> None:
    with contextlib.suppress(FileNotFoundError), _scrubbed(path, scrub=scrub):
        path.unlink()


@contextlib.contextmanager
def _scrubbed(path: Path, *, scrub: bool) -> Iterator[None]:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        yield
        left = os.fstat(descriptor).st_size if scrub else 0
        while left > 0:
            left -= os.write(descriptor, _ZEROS[:left])
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
