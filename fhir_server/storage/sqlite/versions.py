"""How a Version stands in the tables `version` and `body`."""

from collections.abc import Sequence
from typing import Any, Final

import apsw

from fhir_server.encryption.envelopes import SEALED
from fhir_server.encryption.faults import Damaged
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body, Version
from fhir_server.storage.sqlite.connection import body_of

COLUMNS: Final = "v.pid,v.version,v.from_txid,v.last_updated,v.method,b.splice,b.data"
METHODS: Final = ("", "POST", "PUT", "PATCH", "DELETE")
_DELETED: Final = 4
_BRACE: Final = ord("{")
NUMBERS: Final = {method: number for number, method in enumerate(METHODS)}


def version_of(connection: apsw.Connection, key: ResourceKey, row: Sequence[Any]) -> Version:
    """Return the Version of a row of COLUMNS; a deletion has no row in `body`.

    One whose key was destroyed, in a record that was restored from before, is a deletion too.

    Raises:
        Damaged: what is not there, or begins as no resource does, is given to nobody as one.
    """
    pid, version, txid, last_updated, method, splice, data = row
    if data and data[0] == SEALED:
        data = body_of(connection, key, version, data)
        method = method if data else _DELETED
    if method != _DELETED and (not data or data[0] != _BRACE):
        raise Damaged(f"the record is damaged: the body of {key}/_history/{version} is not what was written", str(key))
    return Version(pid, key, version, txid, last_updated, METHODS[method], Body(data or b"", splice or 0))
