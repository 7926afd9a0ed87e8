"""The writing side of envelopes: the key of each body that a commit group writes, made for new patients."""

from collections.abc import Sequence
from typing import Any, Final

import apsw

from fhir_server.encryption.patient_keys import SHARED
from fhir_server.model.version import Version
from fhir_server.search.entries import IndexEntries
from fhir_server.storage.sqlite import bulk
from fhir_server.storage.sqlite.bodies import Bodies
from fhir_server.storage.sqlite.connection import fetch
from fhir_server.storage.sqlite.owners import NOBODY, owners

MEMO: Final = 65_536  # patients whose number the writer remembers

Waiting = tuple[Version, IndexEntries]


class Sealer:
    """Seals for the writer of one process, within its turn."""

    def __init__(self, bodies: Bodies) -> None:
        self.bodies = bodies
        self._numbers: dict[str, int] = {}

    def rows(self, connection: apsw.Connection, waiting: Sequence[Waiting]) -> list[Any]:
        """Return (pid, splice, data) of each, one after the other."""
        if not self.bodies.sealing:
            return [part for version, _ in waiting for part in (version.pid, version.body.splice, version.body.data)]
        found = owners(connection, [(version.key, entries) for version, entries in waiting])
        numbers = self.numbers(connection, found)
        flat: list[Any] = []
        for (version, _), patient in zip(waiting, found, strict=True):
            body = version.body
            sealed = self.bodies.sealed(version.key, version.version, body.data, numbers[patient])
            flat += (version.pid, body.splice, sealed)
        return flat

    def numbers(self, connection: apsw.Connection, patients: Sequence[str]) -> dict[str, int]:
        """Return the number of the key of each patient; keys of those who have none are made."""
        if len(self._numbers) > MEMO:
            self._numbers.clear()
        memo = self._numbers
        unknown = [patient for patient in dict.fromkeys(patients) if patient not in memo and patient != NOBODY]
        if unknown:
            joins = "CROSS JOIN patient_key p ON p.patient=k.column1"
            stored = dict(bulk.select(connection, "p.patient,p.key", joins, unknown))
            # A backup may name a key that was destroyed after it: whatever is written now is not what was erased.
            memo.update({each: number for each, number in stored.items() if self.bodies.cipher(number) is not None})
            self._make(connection, [patient for patient in unknown if patient not in memo])
        return {NOBODY: SHARED} | {patient: memo[patient] for patient in patients if patient != NOBODY}

    def forget(self) -> None:
        """Forget whose key is which: others may have destroyed one, or what was made was rolled back."""
        self._numbers.clear()
        self.bodies.forget()

    def _make(self, connection: apsw.Connection, patients: Sequence[str]) -> None:
        if not patients:
            return
        last = fetch(connection, "SELECT coalesce(max(key), 0) FROM patient_key")[0][0]
        first = max(last + 1, self.bodies.keys.count())
        made = dict(zip(patients, range(first, first + len(patients)), strict=True))
        self.bodies.add(range(first, first + len(patients)))
        connection.executemany("INSERT OR REPLACE INTO patient_key VALUES(?,?)", list(made.items()))
        self._numbers.update(made)
