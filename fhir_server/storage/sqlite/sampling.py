"""A look at parts of a record one by one, for a drill: what stands there is what was written."""

import json
import random
from contextlib import closing, suppress
from hashlib import sha256
from typing import Final

import apsw

from fhir_server.storage.sqlite.blob_files import BlobFiles
from fhir_server.storage.sqlite.connection import fetch
from fhir_server.storage.sqlite.schema import CURRENT

SAMPLE: Final = 50
_RECORDS: Final = 20_000
_NEWEST: Final = f"SELECT max(pid) FROM version WHERE to_txid={CURRENT} AND NOT deleted"
_NEXT: Final = (
    "SELECT t.name, r.id, v.version FROM version v JOIN resource r ON r.rid=v.rid JOIN type t ON t.type=v.type "
    f"WHERE v.to_txid={CURRENT} AND NOT v.deleted AND v.pid>=? ORDER BY v.pid LIMIT 1"
)


def sample(connection: apsw.Connection) -> list[tuple[str, str, int]]:
    """Return (type, id, version) of some current resources: the newest, and others by chance."""
    last = fetch(connection, "SELECT value FROM meta WHERE key='pid'")[0][0]
    newest = fetch(connection, _NEWEST)[0][0] or 0
    pids = [newest, *(random.randint(1, max(last, 1)) for _ in range(SAMPLE - 1))]  # noqa: S311
    found = [row for pid in pids for row in fetch(connection, _NEXT, (pid,))]
    return list(dict.fromkeys((type_, id_, version) for type_, id_, version in found))


def check_digests(connection: apsw.Connection, files: BlobFiles) -> list[str]:
    """Return which of some large objects do not have the bytes of their SHA-256."""
    problems = []
    for id_, size, digest in fetch(
        connection, "SELECT id, size, sha256 FROM blob ORDER BY random() LIMIT ?", (SAMPLE,)
    ):
        with closing(files.open(id_)) as reader:
            summed, at = sha256(), 0
            while data := reader.pread(1 << 20, at):
                summed.update(data)
                at += len(data)
        if (at, summed.hexdigest()) != (size, digest):
            problems.append(f"blob {id_} is not what was written")
    return problems


def check_records(connection: apsw.Connection) -> list[str]:
    """Return which records of collections are no JSON, and what fields there are of records that there are not."""
    problems = []
    for collection, key, value in fetch(connection, "SELECT collection, key, value FROM record LIMIT ?", (_RECORDS,)):
        with suppress(ValueError):
            json.loads(value)
            continue
        problems.append(f"record {key} of collection {collection} cannot be read")
    sql = "SELECT collection, key FROM record_field EXCEPT SELECT collection, key FROM record LIMIT 5"
    return problems + [f"there are fields of a record {key} that is missing" for _, key in fetch(connection, sql)]
