"""Making a new record, under the turn, so that several processes may start at once."""

import os
import secrets
from pathlib import Path

import apsw

from fhir_server.settings import Settings
from fhir_server.storage.base import StorageFault
from fhir_server.storage.moving import HALF_MOVED
from fhir_server.storage.sqlite.connection import connect, faults, fetch
from fhir_server.storage.sqlite.durable import sync
from fhir_server.storage.sqlite.envelope_keys import prepare_keys
from fhir_server.storage.sqlite.log_check import need_whole_log
from fhir_server.storage.sqlite.migrations import migrate
from fhir_server.storage.sqlite.reserve import Reserve
from fhir_server.storage.sqlite.schema import FORMAT, TABLES
from fhir_server.storage.sqlite.sealing import begin
from fhir_server.storage.sqlite.turn import Turn


def prepare(folder: Path, settings: Settings, *, moving: bool = False) -> None:
    """Make the folder and the tables where they do not exist.

    Raises:
        StorageFault: a format that is not ours, a record that was moved here by half, unless that goes on (moving), or
            one that is gone from the middle of what belongs to it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    turn = Turn(folder)
    try:
        with faults(), turn.taken():
            begin(folder, settings)
            _make_private(folder / "record.db")
            connection = connect(folder / "record.db", settings, writer=True)
            try:
                need_whole_log(connection, folder / "record.db")
                _prepare(connection, folder, settings)
                if not moving and fetch(connection, "SELECT 1 FROM meta WHERE key='moving'"):
                    raise StorageFault(f"{folder}: {HALF_MOVED}")
                prepare_keys(connection, folder, settings)
            finally:
                connection.close()
        Reserve(folder, settings.reserve_bytes).lay_by()
        sync(folder)
    finally:
        turn.close()


def _prepare(connection: apsw.Connection, folder: Path, settings: Settings) -> None:
    if fetch(connection, "SELECT 1 FROM sqlite_schema WHERE name='meta'"):
        migrate(connection, folder, settings)
    else:
        _need_first_start(folder)
        _create(connection)


def _make_private(path: Path) -> None:
    """Make the file that SQLite would make readable for all; its companions get the mode that it has."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _need_first_start(folder: Path) -> None:
    """Hold that nothing was kept here before: an empty record in the place of one that was lost would look healthy."""
    left = [name for name in ("blobs", "reserve") if (folder / name).exists()]
    if left:
        raise StorageFault(
            f"{folder / 'record.db'} is empty, but {' and '.join(left)} beside it are of a record: restore a backup, "
            "or move the folder away to begin anew"
        )


def _create(connection: apsw.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(TABLES)
    meta = {"format": FORMAT, "store": secrets.token_hex(16), "pid": 0, "swept": 0, "epoch": 0}
    connection.executemany("INSERT INTO meta VALUES(?,?)", list(meta.items()))
    connection.execute("INSERT INTO system VALUES(0, '')")
    connection.execute("COMMIT")
