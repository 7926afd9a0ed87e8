"""What a record restored without an index needs before it is served: the erased are buried, the index is made."""

import apsw

from fhir_server.encryption.envelopes import PREFIX, prefix
from fhir_server.storage.sqlite.bare_copy import MISSING
from fhir_server.storage.sqlite.blob_files import BlobFiles
from fhir_server.storage.sqlite.bodies import Bodies
from fhir_server.storage.sqlite.connection import fetch
from fhir_server.storage.sqlite.erase import drop_index_rows
from fhir_server.storage.sqlite.rows import WIDTHS
from fhir_server.storage.sqlite.schema import CURRENT

_OF_PATIENT = "SELECT id FROM blob WHERE patient=?"
SLICE = 5_000  # bodies that one transaction looks at


def lacks_index(connection: apsw.Connection) -> bool:
    """Tell whether the index has to be made."""
    return fetch(connection, "SELECT value FROM meta WHERE key='index'") == [(MISSING,)]


def destroyed(connection: apsw.Connection, bodies: Bodies) -> list[tuple[str, int]]:
    """Return the patients whose key was destroyed after the backup, with its number."""
    rows = fetch(connection, "SELECT patient, key FROM patient_key")
    return [(patient, number) for patient, number in rows if bodies.cipher(number) is None]


def bury(connection: apsw.Connection, numbers: list[int], after: int) -> int | None:
    """Make deletions of what cannot be read any more, among the next bodies; return how far it came, None: the end."""
    sql = f"SELECT pid, substr(data,1,{PREFIX}) FROM body WHERE pid>? ORDER BY pid LIMIT ?"
    rows = fetch(connection, sql, (after, SLICE))
    heads = {prefix(number) for number in numbers}
    dead = [(pid,) for pid, head in rows if head in heads]
    connection.executemany(
        "UPDATE type SET total=total-1 WHERE type=(SELECT v.type FROM version v JOIN resource r ON r.pid=v.pid "
        f"WHERE v.pid=? AND NOT v.deleted AND v.to_txid={CURRENT})",
        dead,
    )
    drop_index_rows(connection, [pid for (pid,) in dead])  # a run that was stopped may have made some
    connection.executemany("UPDATE version SET deleted=1, method=4 WHERE pid=?", dead)
    connection.executemany("DELETE FROM body WHERE pid=?", dead)
    return rows[-1][0] if rows else None


def forget_keys(connection: apsw.Connection, files: BlobFiles, gone: list[tuple[str, int]]) -> None:
    """Forget who had the keys that are destroyed, and the blobs that they had."""
    connection.executemany("DELETE FROM patient_key WHERE patient=? AND key=?", gone)
    blobs = [id_ for patient, _ in gone for (id_,) in fetch(connection, _OF_PATIENT, (patient,))]
    connection.executemany("DELETE FROM blob WHERE id=?", [(id_,) for id_ in blobs])
    for id_ in blobs:
        files.mark(id_)  # the sweep removes the bytes


def done(connection: apsw.Connection) -> None:
    """Note that the index is there."""
    connection.execute("DELETE FROM meta WHERE key='index'")


def clear(connection: apsw.Connection) -> None:
    """Take all index rows away."""
    for table in WIDTHS:
        connection.execute(f"DELETE FROM {table}")
