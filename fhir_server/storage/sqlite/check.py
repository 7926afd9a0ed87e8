"""Integrity check of a record: what SQLite sees, and what the tables must say of each other."""

from collections.abc import Iterator
from typing import Final

import apsw

from fhir_server.storage.sqlite.blob_files import BlobFiles
from fhir_server.storage.sqlite.connection import fetch
from fhir_server.storage.sqlite.rows import INDEX_TABLES
from fhir_server.storage.sqlite.schema import CURRENT

# Each finds what must not exist.
_RULES: Final = {
    "versions without a body": "SELECT pid FROM version WHERE NOT deleted EXCEPT SELECT pid FROM body",
    "bodies without a version": "SELECT pid FROM body EXCEPT SELECT pid FROM version",
    "versions without a resource": "SELECT rid FROM version EXCEPT SELECT rid FROM resource",
    "resources whose current version is missing or superseded": f"""
        SELECT r.rid FROM resource r LEFT JOIN version v ON v.pid=r.pid
        WHERE r.pid IS NOT NULL AND (v.rid IS NOT r.rid OR v.to_txid<>{CURRENT})""",
    "current versions that no resource points to": f"""
        SELECT v.pid FROM version v JOIN resource r ON r.rid=v.rid WHERE v.to_txid={CURRENT} AND r.pid IS NOT v.pid""",
    "versions of no commit": "SELECT from_txid FROM version EXCEPT SELECT txid FROM tx",
    "pids beyond the last": "SELECT pid FROM version WHERE pid>(SELECT value FROM meta WHERE key='pid')",
    "counters that are wrong": """
        SELECT t.type FROM type t WHERE t.versions<>(SELECT count(*) FROM version v WHERE v.type=t.type)
        OR t.total<>(SELECT count(*) FROM resource r JOIN version v ON v.pid=r.pid AND NOT v.deleted
          WHERE r.type=t.type)""",
    "audit rows that are missing": "SELECT max(seq) FROM audit HAVING max(seq)-min(seq)+1<>count(*)",
    "audit rows of nobody": "SELECT agent FROM audit EXCEPT SELECT agent FROM audit_agent",
    "commits that are not later than the one before": """
        SELECT txid FROM (SELECT txid, last_updated, lag(last_updated) OVER (ORDER BY txid) AS before FROM tx)
        WHERE last_updated<before""",
}


def check_record(connection: apsw.Connection, *, thorough: bool = True) -> list[str]:
    """Return what is wrong with a record, in words; nothing for a sound one.

    `thorough` also compares every index with its table, which reads the whole file.
    """
    found = damage(connection, thorough=thorough)
    if found:
        return found  # the rules below would only stumble over the same damage
    rules = _RULES | {f"rows of {table} without owner": _owner(table) for table in INDEX_TABLES}
    return [problem for name, sql in rules.items() for problem in _broken(connection, name, sql)]


def damage(connection: apsw.Connection, *, thorough: bool) -> list[str]:
    """Return what SQLite finds wrong with the file, whatever its tables are."""
    pragma = "integrity_check" if thorough else "quick_check"
    return [str(row[0]) for row in fetch(connection, f"PRAGMA {pragma}(20)") if row[0] != "ok"]


def check_blobs(connection: apsw.Connection, files: BlobFiles) -> list[str]:
    """Return which attached blobs have no file of the right length."""
    rows = fetch(connection, "SELECT id, size FROM blob")
    return [f"blob {id_} is missing or cut" for id_, size in rows if files.size(id_) != size]


def _owner(table: str) -> str:
    return f"SELECT pid FROM {table} EXCEPT SELECT pid FROM version EXCEPT SELECT cid FROM contained"


def _broken(connection: apsw.Connection, name: str, sql: str) -> Iterator[str]:
    rows = fetch(connection, f"SELECT * FROM ({sql}) LIMIT 5")
    if rows:
        yield f"{name}: {', '.join(str(row[0]) for row in rows)}"
