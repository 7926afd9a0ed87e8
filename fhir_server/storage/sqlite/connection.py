"""Opening of SQLite connections and the translation of driver errors at the engine's edge."""

import errno
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import apsw

from fhir_server.alerts import Alert, raise_alert
from fhir_server.encryption.envelopes import SEALED, number_of
from fhir_server.encryption.faults import Damaged, EncryptionFault
from fhir_server.model.keys import ResourceKey
from fhir_server.settings import Settings
from fhir_server.storage.base import StorageDamaged, StorageFault, StorageFull
from fhir_server.storage.sqlite.blind import Blind
from fhir_server.storage.sqlite.bodies import Bodies
from fhir_server.storage.sqlite.sealing import unlock

_log = logging.getLogger("fhir_server.storage")

PAGE_SIZE: Final = 4096  # written per random index row; 8192 wrote a quarter more per resource (ADR 0003)
SHOWN: Final = "shown"  # the function of SQL that opens values of the blind index
STATEMENTS: Final = 400  # prepared statements kept by a connection


class Record(apsw.Connection):
    """A connection that knows how to open the bodies of its record."""

    bodies: Bodies


def body_of(connection: apsw.Connection, key: ResourceKey, version: int, data: bytes) -> bytes:
    """Return a stored body as it was written; empty where its key was destroyed. Raises EncryptionFault."""
    if not data or data[0] != SEALED:
        return data
    assert isinstance(connection, Record)
    try:
        return connection.bodies.opened(key, version, data)
    except Damaged as error:
        for (patient,) in fetch(connection, "SELECT patient FROM patient_key WHERE key=?", (number_of(data),)):
            error.patient = patient
        raise


def blind_of(connection: apsw.Connection) -> Blind | None:
    """Return what hides values in the record's index, None where nothing does. Raises EncryptionFault."""
    return connection.bodies.blind() if isinstance(connection, Record) else None


def _shown(connection: apsw.Connection, text: str | None) -> str | None:
    blind = blind_of(connection)
    return text if blind is None else blind.show(text)


def connect(path: Path, settings: Settings, *, writer: bool, bodies: Bodies | None = None) -> apsw.Connection:
    """Open the record; readers are refused every write by SQLite itself.

    A connection belongs to one thread at a time. The busy timeout only bridges the moments in which SQLite recovers or
    restarts its log: writers take turns under a lock of their own (docs/adr/0004-writers-take-turns.md).
    Connections of one process share their `bodies`, as keys are looked up in a file.
    """
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if writer else 0)
    connection = Record(str(path), flags=flags, statementcachesize=STATEMENTS)
    connection.bodies = bodies or Bodies(path.parent, settings)
    connection.set_busy_timeout(10_000)
    connection.create_scalar_function(SHOWN, partial(_shown, connection), 1, deterministic=True)
    try:
        unlock(connection, path, settings)  # before any other pragma
    except BaseException:
        connection.close()
        raise
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)  # the writer does it, where the disk has room
    for pragma in _pragmas(settings, writer):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection


def _pragmas(settings: Settings, writer: bool) -> Iterator[str]:
    yield f"cache_size = -{settings.cache_bytes // 1024 // (2 if writer else 4)}"
    yield "temp_store = memory"
    yield "cell_size_check = on"
    if not writer:
        yield "query_only = on"
        return
    yield f"page_size = {PAGE_SIZE}"
    yield "journal_mode = wal"
    yield f"synchronous = {'full' if settings.durable else 'off'}"
    yield "wal_autocheckpoint = 0"  # `checkpoints` does it
    yield "secure_delete = off"  # `purge` switches it on for what must be beyond recovery


def fetch(connection: apsw.Connection, sql: str, values: Sequence[Any] = ()) -> list[Any]:
    """Return all rows of a statement; what their columns hold is known from the statement alone."""
    return connection.execute(sql, values).fetchall()


def size_of(connection: apsw.Connection) -> int:
    """Return the bytes of the record once all of its log is copied into it."""
    return int(fetch(connection, "PRAGMA page_count")[0][0] * fetch(connection, "PRAGMA page_size")[0][0])


@contextmanager
def faults(tenant: str = "") -> Iterator[None]:
    """Translate what the driver raises into the errors of the Store contract; damage and wrong keys raise an alarm."""
    try:
        yield
    except apsw.FullError as error:
        raise StorageFull(str(error)) from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        said = f"the record is damaged, a page is not what was written: {error}"
        _log.error("%s", said)
        raise_alert(Alert("damaged-store", tenant, said, "record.db"))
        raise StorageDamaged(said) from error
    except (apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError, apsw.BusyError) as error:
        raise StorageFault(str(error)) from error
    except Damaged as error:
        _log.error("%s", error)
        raise_alert(Alert("damaged-store", tenant, str(error), error.entity, error.patient))
        raise StorageDamaged(str(error)) from error
    except EncryptionFault as error:
        _log.error("%s", error)
        raise_alert(Alert("wrong-key", tenant, str(error)))
        raise StorageFault(str(error)) from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise (StorageFull if full else StorageFault)(str(error)) from error
