"""A copy of a record without its search index, for backups of a record whose bodies are in envelopes.

Names, dates and identifiers stand in the index too, under the key of the file alone. A copy that outlives an erasure
must not have them, so a backup holds none; they are made anew from the bodies that still open when it is restored.
"""

from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

import apsw

from fhir_server.encryption.unlocked import Unlocked
from fhir_server.settings import Settings
from fhir_server.storage.sqlite.connection import PAGE_SIZE, fetch
from fhir_server.storage.sqlite.rows import INDEX_TABLES
from fhir_server.storage.sqlite.schema import TABLES
from fhir_server.storage.sqlite.sealing import CIPHER, give_key, purpose, unlock

MISSING: Final = "missing"
INDEX: Final = frozenset(
    (*INDEX_TABLES, "contained", "token_value", "uri_value", "system", "param", "ref_param", "stale")
)


def copy_bare(record: Path, target: Path, settings: Settings, keys: Unlocked) -> None:
    """Copy all but the index, as of one instant, to a file that does not exist yet, under the same key."""
    key = keys.key(keys.ring.record, purpose(record))
    with closing(apsw.Connection(str(target))) as copy:
        give_key(copy, target, key, keys.ring.record)
        copy.execute(f"PRAGMA page_size={PAGE_SIZE}")
        copy.execute(TABLES)
        copy.execute("INSERT INTO system VALUES(0, '')")
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI
    with closing(apsw.Connection(str(record), flags=flags)) as source:
        source.set_busy_timeout(10_000)
        unlock(source, record, settings)
        source.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        uri = f"file:{quote(str(target.absolute()))}?cipher={CIPHER}&key=raw:{key.hex()}"
        source.execute("ATTACH ? AS copy", (uri,))
        for pragma in ("journal_mode=off", "synchronous=off"):
            fetch(source, f"PRAGMA copy.{pragma}")
        with source:
            _fill(source)


def _fill(source: apsw.Connection) -> None:
    sql = "SELECT name, sql FROM main.sqlite_schema WHERE type='table' ORDER BY name"
    known = {row[0] for row in fetch(source, "SELECT name FROM copy.sqlite_schema")}
    for name, made in fetch(source, sql):
        if name in INDEX or name.startswith("sqlite_"):
            continue
        if name not in known:
            source.execute(made.replace("CREATE TABLE ", "CREATE TABLE copy.", 1))
        source.execute(f'INSERT INTO copy."{name}" SELECT * FROM main."{name}"')
    source.execute("INSERT INTO copy.meta VALUES('index', ?)", (MISSING,))
