"""The destruction of a patient's key: what is sealed by it is beyond recovery, in every backup too.

What stands under the key and is not the patient's alone is sealed anew first. Then the key is doomed (nobody writes
under it any more, and a crash is caught up with), then overwritten where it stands and in its copy.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import apsw

from fhir_server.encryption.envelopes import PREFIX, prefix
from fhir_server.encryption.patient_keys import SHARED
from fhir_server.model.keys import ResourceKey
from fhir_server.storage.sqlite import bulk
from fhir_server.storage.sqlite.blob_files import BlobFiles
from fhir_server.storage.sqlite.bodies import Bodies
from fhir_server.storage.sqlite.connection import body_of, fetch

SLICE: Final = 500
_DOOMED: Final = "doomed:"
_BODIES: Final = (
    "CROSS JOIN body b ON b.pid=k.column1 CROSS JOIN version v ON v.pid=b.pid CROSS JOIN resource r ON r.rid=v.rid "
    "CROSS JOIN type t ON t.type=v.type"
)


def number_of(connection: apsw.Connection, patient: str) -> int | None:
    """Return the number of a patient's key."""
    rows = fetch(connection, "SELECT key FROM patient_key WHERE patient=?", (patient,))
    return rows[0][0] if rows else None


def under(connection: apsw.Connection, number: int, after: int = 0) -> tuple[list[int], int]:
    """Return the pids beyond `after` of the bodies under a key, and the last pid there is: a pass over all bodies."""
    last = fetch(connection, "SELECT coalesce(max(pid), 0) FROM body")[0][0]
    sql = f"SELECT pid FROM body WHERE pid>? AND substr(data,1,{PREFIX})=?"
    return [row[0] for row in fetch(connection, sql, (after, prefix(number)))], last


def reseal(connection: apsw.Connection, bodies: Bodies, pids: Sequence[int]) -> None:
    """Bring these bodies under the shared key."""
    rows = list(bulk.select(connection, "b.pid,t.name,r.id,v.version,b.data", _BODIES, pids))
    for pid, type_, id_, version, data in rows:
        key = ResourceKey(type_, id_)
        opened = body_of(connection, key, version, data)
        if opened:
            sealed = bodies.sealed(key, version, opened, SHARED)
            connection.execute("UPDATE body SET data=? WHERE pid=?", (sealed, pid))


def doom(
    connection: apsw.Connection, bodies: Bodies, files: BlobFiles, *, patient: str, number: int, after: int
) -> None:
    """Take the key from its patient, after what was written under it since; every memo of it is void then."""
    reseal(connection, bodies, under(connection, number, after)[0])
    for (blob,) in fetch(connection, "SELECT id FROM blob WHERE patient=?", (patient,)):
        files.hand_over(blob, None)
    connection.execute("DELETE FROM patient_key WHERE patient=?", (patient,))
    connection.execute("INSERT OR IGNORE INTO meta VALUES(?, ?)", (f"{_DOOMED}{number}", number))
    connection.execute("UPDATE meta SET value=value+1 WHERE key='epoch'")


def doomed(connection: apsw.Connection) -> list[int]:
    """Return the numbers of the keys that are to be destroyed."""
    return [row[0] for row in fetch(connection, "SELECT value FROM meta WHERE key GLOB ?", (f"{_DOOMED}*",))]


def destroy(connection: apsw.Connection, bodies: Bodies, copy: Path | None) -> int:
    """Overwrite the doomed keys, in the copy too; return how many. Raises EncryptionFault, OSError: try again."""
    numbers = doomed(connection)
    for number in numbers:
        bodies.keys.destroy(number)
    if numbers and copy is not None:
        bodies.keys.copy_to(copy / bodies.keys.folder.name)
    connection.execute("DELETE FROM meta WHERE key GLOB ?", (f"{_DOOMED}*",))
    bodies.forget()
    return len(numbers)
