"""Holds: instants whose index stays, for they are read for longer than a page link lives."""

import apsw

from fhir_server.storage.base import HOLDS, Where
from fhir_server.storage.sqlite.collections import load
from fhir_server.storage.sqlite.connection import fetch
from fhir_server.storage.sqlite.records import find_records


def oldest_held(connection: apsw.Connection, now: int) -> int | None:
    """Return the oldest txid that is held at a time (milliseconds); None where none is."""
    if not fetch(connection, "SELECT 1 FROM collection WHERE name=?", (HOLDS.name,)):
        return None
    found = find_records(connection, load(connection, HOLDS.name), [Where("until", ">", now)], "txid", None, (1, 0))
    return int(str(found[0].value["txid"])) if found else None


def is_held(connection: apsw.Connection, txid: int, now: int) -> bool:
    """Tell whether the index of an instant stays."""
    oldest = oldest_held(connection, now)
    return oldest is not None and oldest <= txid
