"""Bringing the record under its current key while it is served: in one turn to write, in which readers go on.

The copy is made and put in the record's place as `rekey` does at a start; then all processes open the record anew
(`generation`). What they still read meanwhile is the old file, to which nobody writes any more.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import apsw

from fhir_server.encryption.files import changing
from fhir_server.encryption.keyring import read_keyring
from fhir_server.settings import Settings
from fhir_server.storage.sqlite.connection import connect, faults
from fhir_server.storage.sqlite.generation import Generation
from fhir_server.storage.sqlite.rekey import RECORD, copy_under_current, put_in_place, retire, settled
from fhir_server.storage.sqlite.turn import Turn

_LOCK: Final = "rekey.lock"


def rekey_live(folder: Path, settings: Settings) -> bool:
    """Bring the record under the current key; tell whether it was. It is left for later where a backup runs, where
    reads do not let go of the log file, and where the record is larger than `rotate_live`.

    Raises:
        StorageFault: there is no room for the copy, or it is not what the record is.
    """
    if (folder / RECORD).stat().st_size > settings.rotate_live:
        return False
    with faults(folder.name), _alone(folder) as alone:
        if not alone:
            return False
        with changing(settings.data_dir), closing(Turn(folder)) as turn, turn.taken():
            ring = settled(folder)
            if ring is None or not ring.record or ring.record == ring.current or not _log_copied(folder, settings):
                return False
            _swap(folder, settings)
        retire(folder)
    return True


@contextmanager
def reading_whole(folder: Path) -> Iterator[None]:
    """Keep the record under its key, while it is copied together with its keys."""
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield
    finally:
        os.close(lock)


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield True
            return
        yield False
    finally:
        os.close(lock)


def _log_copied(folder: Path, settings: Settings) -> bool:
    """Move all of the log file into the record, so that nothing is in it that a crash could lose."""
    with closing(connect(folder / RECORD, settings, writer=True)) as connection:
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            return False
        return True


def _swap(folder: Path, settings: Settings) -> None:
    generation = Generation(folder, settings)
    try:
        copy_under_current(folder, settings)
        put_in_place(folder)
        generation.advance()
    finally:
        generation.close()
    assert (ring := read_keyring(folder)) is not None and ring.record == ring.current
