"""Which archive a record belongs to: a lineage, in which entries are counted without gaps.

The record names its lineage in `meta`; a small file in its spool names it too, with what a lineage cannot outlive: how
the tables are made, whether there are keys, and which patient keys. A record that was restored, migrated, encrypted or
written with the archive switched off does not fit the file, and begins a lineage of its own.
"""

import json
import secrets
import time
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import apsw

from fhir_server.encryption import files
from fhir_server.storage.sqlite.archive.entries import LEFT_OUT
from fhir_server.storage.sqlite.archive.spool import FOLDER, Spool
from fhir_server.storage.sqlite.connection import fetch

NAME: Final = "archive"
COUNT: Final = "archived"
"""Keys of `meta`: the lineage, and the number of its last entry."""

FILE: Final = "lineage.json"
_TABLES: Final = "SELECT name, sql FROM sqlite_schema WHERE type='table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
_STATE: Final = f"SELECT key, value FROM meta WHERE key IN ('{NAME}', '{COUNT}')"


def state(connection: apsw.Connection) -> tuple[str, int]:
    """Return the lineage of a record (empty: none) and the number of its last entry."""
    found = dict(fetch(connection, _STATE))
    return str(found.get(NAME, "")), int(found.get(COUNT, 0))


def tables(connection: apsw.Connection) -> list[tuple[str, str]]:
    """Return the tables that an archive holds, with how they are made."""
    return [row for row in fetch(connection, _TABLES) if row[0] not in LEFT_OUT]


def settle(connection: apsw.Connection, folder: Path, *, sealed: bool) -> None:
    """Begin a lineage unless that of the record goes on; within the turn and a transaction. Raises OSError."""
    rows = fetch(connection, "SELECT value FROM meta WHERE key='patient_keys'")
    made = sha256(json.dumps(tables(connection)).encode()).hexdigest()
    fits = {"tables": made, "sealed": sealed, "patient_keys": rows[0][0] if rows else ""}
    known, _ = state(connection)
    if known and _read(folder) == {"lineage": known, **fits}:
        return
    begin(connection, folder, fits)


def begin(connection: apsw.Connection, folder: Path, fits: dict[str, Any] | None = None) -> str:
    """Begin a lineage; within the turn and a transaction. Raises OSError."""
    fits = fits or {name: value for name, value in _read(folder).items() if name != "lineage"}
    now = time.time()
    name = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now)) + f"{int(now % 1 * 1000):03d}-{secrets.token_hex(4)}"
    spool = folder / FOLDER
    spool.mkdir(exist_ok=True, mode=0o700)
    Spool(folder).empty()
    connection.executemany("INSERT OR REPLACE INTO meta VALUES(?,?)", [(NAME, name), (COUNT, 0)])
    files.replace(spool / FILE, json.dumps({"lineage": name, **fits}).encode())
    return name


def end(connection: apsw.Connection) -> None:
    """Forget the lineage: what is written from now on is in no archive."""
    connection.execute("DELETE FROM meta WHERE key IN (?, ?)", (NAME, COUNT))


def _read(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / FOLDER / FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return found
