"""Appending to the audit log inside a commit group."""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import apsw

from fhir_server.storage.audit import AuditRow
from fhir_server.storage.sqlite import bulk
from fhir_server.storage.sqlite.connection import fetch

_MASK = (1 << 47) - 1  # six bytes in a row; two texts share a key once in a hundred million million


_ROWS_AT_ONCE = 5_000
_KEYS_AT_ONCE = 500


@lru_cache(maxsize=16_384)
def key_of(text: str) -> int:
    """Return the number that stands for a text in the index, one or more."""
    return int.from_bytes(blake2b(text.encode(), digest_size=6).digest()) & _MASK or 1


def cut_rows(connection: apsw.Connection, before: int) -> int:
    """Remove some of the rows below a seq, oldest first; return how many."""
    sql = "DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE seq<? ORDER BY seq LIMIT ?) RETURNING seq"
    return len(fetch(connection, sql, (before, _ROWS_AT_ONCE)))


def cut_keys(connection: apsw.Connection, after: int) -> int | None:
    """Remove what leads to rows that are no more, of some keys beyond one; return the last of them, None at the end.

    Keys are visited one by one: the index is in their order, and most of it stays.
    """
    oldest = fetch(connection, "SELECT min(seq) FROM audit")[0][0] or 0
    key: int | None = after
    for _ in range(_KEYS_AT_ONCE):
        key = fetch(connection, "SELECT min(key) FROM audit_key WHERE key>?", (key,))[0][0]
        if key is None:
            break
        fetch(connection, "DELETE FROM audit_key WHERE key=? AND seq<?", (key, oldest))
        if key < 0 and not fetch(connection, "SELECT 1 FROM audit_key WHERE key=? LIMIT 1", (key,)):
            fetch(connection, "DELETE FROM audit_agent WHERE agent=?", (-key,))
    return key


class AuditRows:
    """The audit rows of one group, gathered over its requests and written at its end."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._agents: dict[str, int] = {}
        self._rows: list[Any] = []
        self._keys: list[tuple[int, int]] = []
        self._seq = self._time = -1

    def add(self, rows: Sequence[AuditRow]) -> int:
        """Take rows; return the seq of the first."""
        if self._seq < 0:
            last = fetch(self._connection, "SELECT seq, time FROM audit ORDER BY seq DESC LIMIT 1")
            self._seq, self._time = last[0] if last else (0, 0)
        first = self._seq + 1
        for seq, row in enumerate(rows, first):
            agent = self._agents.get(row.agent) or self._agent(row.agent)
            self._time = max(self._time, row.time)
            self._rows += (seq, self._time, agent, row.body)
            self._keys.append((-agent, seq))
            self._keys += [(key_of(text), seq) for text in row.keys]
            self._seq = seq
        return first

    def write(self) -> None:
        """Write what was taken."""
        if self._rows:
            bulk.insert(self._connection, "INSERT INTO audit", 4, self._rows)
            keys = [part for key in sorted(self._keys) for part in key]
            bulk.insert_or_ignore(self._connection, "audit_key", 2, keys)
            self._rows.clear()
            self._keys.clear()

    def _agent(self, text: str) -> int:
        found = fetch(self._connection, "SELECT agent FROM audit_agent WHERE text=?", (text,))
        if not found:
            sql = "INSERT INTO audit_agent(text) VALUES(?) RETURNING agent"
            found = fetch(self._connection, sql, (text,))
        return self._agents.setdefault(text, found[0][0])
