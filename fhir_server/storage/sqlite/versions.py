"""How a Version stands in the tables `version` and `body`."""

from collections.abc import Sequence
from typing import Any, Final

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body, Version

COLUMNS: Final = "v.pid,v.version,v.from_txid,v.last_updated,v.method,b.splice,b.data"
METHODS: Final = ("", "POST", "PUT", "PATCH", "DELETE")
NUMBERS: Final = {method: number for number, method in enumerate(METHODS)}


def version_of(key: ResourceKey, row: Sequence[Any]) -> Version:
    """Return the Version of a row of COLUMNS; a deletion has no row in `body`."""
    pid, version, txid, last_updated, method, splice, data = row
    return Version(pid, key, version, txid, last_updated, METHODS[method], Body(data or b"", splice or 0))
