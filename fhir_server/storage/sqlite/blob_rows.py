"""Attaching and releasing of large objects inside a commit."""

from collections.abc import Sequence

import apsw

from fhir_server.storage.base import BlobChange, StorageFault
from fhir_server.storage.sqlite.blob_files import BlobFiles
from fhir_server.storage.sqlite.connection import fetch
from fhir_server.storage.sqlite.sealer import Sealer

_KNOWN = "SELECT 1 FROM blob WHERE id=?"


def check(connection: apsw.Connection, files: BlobFiles, changes: Sequence[BlobChange]) -> None:
    """Raise StorageFault where a blob to attach is neither staged nor attached already."""
    for change in changes:
        if not change.attach or fetch(connection, _KNOWN, (change.id,)):
            continue
        if files.staged(change.id) is None:
            raise StorageFault(f"there is no staged blob {change.id}")


def write(
    connection: apsw.Connection, files: BlobFiles, sealer: Sealer, changes: Sequence[BlobChange]
) -> tuple[list[str], list[str]]:
    """Write the rows; return the ids that were attached and those released, whose bytes can go after the commit.

    A blob of a patient comes under the patient's key.
    """
    attached, released = [], []
    for change in changes:
        if change.attach:
            if change.patient and sealer.bodies.sealing and files.staged(change.id) is not None:
                files.hand_over(change.id, sealer.numbers(connection, (change.patient,))[change.patient])
            _attach(connection, files, sealer, change)
            attached.append(change.id)
        elif fetch(connection, _KNOWN, (change.id,)):
            connection.execute("DELETE FROM blob WHERE id=?", (change.id,))
            released.append(change.id)
    files.mark(*released)  # before the commit, so that bytes without a row are found
    return attached, released


def _attach(connection: apsw.Connection, files: BlobFiles, sealer: Sealer, change: BlobChange) -> None:
    ref = files.staged(change.id)
    if ref is None and change.patient:
        _give_to(connection, files, sealer, change)
    if ref is not None:
        row = (ref.id, ref.size, ref.sha256, change.patient)
        connection.execute("INSERT OR IGNORE INTO blob(id, size, sha256, patient) VALUES(?,?,?,?)", row)


def _give_to(connection: apsw.Connection, files: BlobFiles, sealer: Sealer, change: BlobChange) -> None:
    """Make an attached blob that of another patient."""
    if fetch(connection, "SELECT 1 FROM blob WHERE id=? AND patient IS ?", (change.id, change.patient)):
        return
    if change.patient and sealer.bodies.sealing:
        files.hand_over(change.id, sealer.numbers(connection, (change.patient,))[change.patient])
    connection.execute("UPDATE blob SET patient=? WHERE id=?", (change.patient, change.id))
