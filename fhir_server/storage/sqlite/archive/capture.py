"""What a writer does for the archive: notes what each transaction changed, before it is committed."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw

from fhir_server.alerts import Alert, raise_alert
from fhir_server.settings import Settings
from fhir_server.storage.sqlite.archive import lineage
from fhir_server.storage.sqlite.archive.entries import Entry, flags_of
from fhir_server.storage.sqlite.archive.seals import Seals
from fhir_server.storage.sqlite.archive.spool import Spool
from fhir_server.storage.sqlite.connection import fetch
from fhir_server.storage.sqlite.sealing import keys_of

_HEAD: Final = "SELECT txid, last_updated FROM tx ORDER BY txid DESC LIMIT 1"
_SCHEMA: Final = "PRAGMA schema_version"


class Capture:
    """Of one writer connection; with the archive switched off it only ends the lineage that there may be."""

    def __init__(self, folder: Path, settings: Settings, clock: Callable[[], int]) -> None:
        self._folder, self._on, self._clock = folder, settings.backup_archive is not None, clock
        self._keys = keys_of(folder, settings)
        self._spool = Spool(folder)
        self._seals = Seals("")
        self._name, self._tables = "", tuple[str, ...]()
        self._session: apsw.Session | None = None
        self._before = (0, 0)
        self._settled, self._schema = False, 0

    def begin(self, connection: apsw.Connection) -> None:
        """Begin to note, in an open transaction."""
        if self._on and self._schema != fetch(connection, _SCHEMA)[0][0]:
            self._settled = False  # an upgrade was finished, by whichever process
        if not self._settled:
            self._settle(connection)
        if not self._on:
            return
        self._before = _head(connection)
        self._session = session = apsw.Session(connection, "main")
        for table in self._tables:
            session.attach(table)

    def end(self, connection: apsw.Connection) -> None:
        """Write down what was changed, before the commit. The write goes on where that cannot be; the archive notices
        the gap."""
        session = self._session
        if session is not None and self._schema != fetch(connection, _SCHEMA)[0][0]:
            self.forget()  # tables were changed, which no entry can say: the base of another lineage has them
            self._settle(connection)
            return
        if session is None or session.is_empty:
            self.forget()
            return
        name, count = lineage.state(connection)
        if not name:
            self.rolled_back()  # what began the lineage was not committed; the base of the next one has this too
            return
        connection.execute("UPDATE meta SET value=? WHERE key=?", (count + 1, lineage.COUNT))
        txid, last_updated = _head(connection)
        patchset = bytes(session.patchset())
        self.forget()
        time = last_updated if txid != self._before[0] else self._clock()
        entry = Entry(count + 1, self._before[0], txid, time, flags_of(patchset), patchset)
        if name != self._name:
            self._name, self._seals = name, Seals(name)
        try:
            self._spool.append(self._seals.sealed(entry, self._keys()))
        except OSError as error:
            self._spool.close()
            raise_alert(_alert(self._folder.name, f"an entry for the archive of backups cannot be written: {error}"))

    def forget(self) -> None:
        """Note nothing more of this transaction."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def rolled_back(self) -> None:
        """Note nothing of this transaction, and look at the lineage again: it may have been begun in it."""
        self.forget()
        self._settled = False

    def close(self) -> None:
        """Close the files."""
        self.forget()
        self._spool.close()

    def _settle(self, connection: apsw.Connection) -> None:
        self._schema = fetch(connection, _SCHEMA)[0][0]
        if self._on:
            try:
                lineage.settle(connection, self._folder, sealed=self._keys() is not None)
            except OSError as error:
                raise_alert(_alert(self._folder.name, f"the archive of backups cannot be begun: {error}"))
                return
            self._tables = tuple(name for name, _ in lineage.tables(connection))
        else:
            lineage.end(connection)
        self._settled = True


def _head(connection: apsw.Connection) -> tuple[int, int]:
    rows = fetch(connection, _HEAD)
    return (rows[0][0], rows[0][1]) if rows else (0, 0)


def _alert(tenant: str, said: str) -> Alert:
    return Alert("backup-behind", tenant, said, "spool")
