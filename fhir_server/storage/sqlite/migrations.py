"""Format versions of the record: one step for each change of the tables, run in place (docs/adr/0029).

A release works on the format before its own as well: what `before` adds is made when the record is opened, and what the
release before could not live with (`moves`) waits until `fhir-server upgrade finish`, so that both can serve the record
by turns. Older formats are brought up at once, by the first process to open the record.

A step is a list of short moves. The marker `migration` in `meta` says which moves are done, in the same transaction as
the move, so a migration that was stopped goes on where it came to. Before the first move the record is copied to
`before-format-N/`; to go back, stop the server, install the release that knows format N and put that copy's `record.db`
in the place of the new one (versions written since then are lost with it).
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from fhir_server.settings import Settings
from fhir_server.storage.base import BackupRefused, StorageFault
from fhir_server.storage.sqlite.backup import whole_copy
from fhir_server.storage.sqlite.connection import fetch
from fhir_server.storage.sqlite.schema import AUDIT_TABLES, FORMAT, PATIENT_KEY_TABLES

Move = Callable[[apsw.Connection], bool]


@dataclass(frozen=True, slots=True)
class Step:
    """From one format to the next: moves that are called until they return True, each call one transaction.

    before: additions that the release before does not mind; all are called whenever the record is opened, until the
        step is done. waits: the moves wait until the upgrade is finished. Steps before the first that waited did not.
    """

    to: int
    moves: Sequence[Move]
    before: Sequence[Move] = ()
    waits: bool = True


def _add_positions(connection: apsw.Connection) -> bool:
    connection.execute(
        "CREATE TABLE position(param INTEGER, latitude REAL, longitude REAL, pid INTEGER,"
        "  PRIMARY KEY(param, latitude, longitude, pid)) STRICT, WITHOUT ROWID;"
        "CREATE INDEX position_pid ON position(pid, param)"
    )
    return True


def _add_composites(connection: apsw.Connection) -> bool:
    connection.execute(
        "CREATE TABLE composite(param INTEGER, first INTEGER, second ANY, pid INTEGER, rest TEXT,"
        "  PRIMARY KEY(param, first, second, pid, rest)) STRICT, WITHOUT ROWID;"
        "CREATE INDEX composite_pid ON composite(pid, param)"
    )
    return True


def _add_audit(connection: apsw.Connection) -> bool:
    connection.execute(AUDIT_TABLES)
    return True


def _add_patient_keys(connection: apsw.Connection) -> bool:
    connection.execute(PATIENT_KEY_TABLES)
    return True


# Format 0 was never released: it stands for an older layout in the tests of this machinery.
STEPS: Final[Mapping[int, Step]] = {
    0: Step(1, (_add_positions, _add_composites), waits=False),
    1: Step(2, (_add_audit,), waits=False),
    2: Step(3, (_add_patient_keys,), waits=False),
}


def migrate(
    connection: apsw.Connection, folder: Path, settings: Settings, steps: Mapping[int, Step] = STEPS, to: int = FORMAT
) -> int:
    """Bring a record to what this server works on; return the format that it had. The caller holds the turn.

    Raises:
        StorageFault: the format is newer than this server, or older than any step; nothing is touched.
    """
    found = format_of(connection)
    if found > to:
        raise StorageFault(
            f"the record in {folder} has format {found}, but this server knows up to {to}: "
            "it was written by a newer release; install that one, or restore a backup made before it"
        )
    way = _way(folder, found, steps, to)
    now = way[:-1] if way and way[-1].waits else way
    if now:
        save(folder, found, settings)
    while now and format_of(connection) < now[-1].to:
        with connection:
            advance(connection, steps)
    for move in way[-1].before if way[len(now) :] else ():
        with connection:
            move(connection)
    return found


def advance(connection: apsw.Connection, steps: Mapping[int, Step] = STEPS) -> None:
    """Do the next piece of the next step, within a transaction."""
    step, done = steps[format_of(connection)], int(_meta(connection, "migration") or 0)
    if done < len(step.moves):
        if step.moves[done](connection):
            connection.execute("INSERT OR REPLACE INTO meta VALUES('migration', ?)", (done + 1,))
        return
    connection.execute("UPDATE meta SET value=? WHERE key='format'", (step.to,))
    connection.execute("DELETE FROM meta WHERE key='migration'")


def format_of(connection: apsw.Connection) -> int:
    """Return the format of a record."""
    return int(_meta(connection, "format"))


def _way(folder: Path, found: int, steps: Mapping[int, Step], to: int) -> list[Step]:
    way: list[Step] = []
    while (at := way[-1].to if way else found) < to:
        if at not in steps:
            raise StorageFault(f"the record in {folder} has format {at}, from which there is no way to {to}")
        way.append(steps[at])
    return way


def save(folder: Path, found: int, settings: Settings) -> None:
    """Copy the record as it was, unless an earlier try did."""
    target = folder / f"before-format-{found + 1}"
    if (target / "manifest.json").exists():
        return
    shutil.rmtree(target, ignore_errors=True)  # an earlier try was stopped within the copy
    try:
        whole_copy(folder, target, settings)
    except BackupRefused as error:
        raise StorageFault(str(error)) from error


def _meta(connection: apsw.Connection, key: str) -> str:
    rows = fetch(connection, "SELECT value FROM meta WHERE key=?", (key,))
    return str(rows[0][0]) if rows else ""
