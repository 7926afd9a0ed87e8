"""The other resources of the store for the in-memory matcher, with entries extracted from their bodies."""

from collections.abc import Callable, Iterator

import apsw

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.entries import IndexEntries
from fhir_server.search.fulltext import content_text, narrative_text
from fhir_server.search.match import Found, VersionLike
from fhir_server.storage.sqlite.connection import fetch
from fhir_server.storage.sqlite.reads import read
from fhir_server.storage.sqlite.schema import CURRENT

_REFERRING = f"""
SELECT s.id FROM type t JOIN resource r ON r.type=t.type AND r.id=?
CROSS JOIN param p ON p.type=? AND p.code=? CROSS JOIN ref x ON x.param=p.param AND x.target=r.rid
CROSS JOIN version v ON v.pid=x.pid AND v.to_txid={CURRENT} CROSS JOIN resource s ON s.rid=v.rid
WHERE t.name=?
"""


class BodyLookup:
    """A `Lookup` over current versions."""

    def __init__(self, connection: apsw.Connection, extract: Callable[[str, bytes], IndexEntries]) -> None:
        self._connection, self._extract = connection, extract

    def current(self, key: ResourceKey) -> Found | None:
        """Return the current version of a resource that is not deleted."""
        version = read(self._connection, key)
        if version is None or version.deleted:
            return None
        return Found(version, self._extract(key.type, version.body.data))

    def referring(self, type_: str, param: str, key: ResourceKey) -> Iterator[Found]:
        """Return the current resources of a type that refer to `key` by a parameter."""
        for (id_,) in fetch(self._connection, _REFERRING, (key.id, type_, param, key.type)):
            found = self.current(ResourceKey(type_, id_))
            if found:
                yield found

    def text(self, version: VersionLike, *, content: bool) -> str:
        """Return the narrative of a resource, or all of its text; a contained one has none of its own."""
        if not isinstance(version, Version):
            return ""
        return content_text(version.body.data) if content else narrative_text(version.body.data)
