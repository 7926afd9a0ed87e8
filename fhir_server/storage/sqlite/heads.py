"""The current versions that a commit group works on, read in bulk and kept up to date while the group grows."""

from collections.abc import Iterable
from dataclasses import dataclass

import apsw

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.storage.sqlite import bulk
from fhir_server.storage.sqlite.interning import Interning
from fhir_server.storage.sqlite.versions import COLUMNS, version_of


@dataclass(slots=True)
class Head:
    """A resource's current version, by rid."""

    rid: int
    version: Version


class Heads:
    """Current versions by key; None for what was never written."""

    def __init__(self, connection: apsw.Connection, interning: Interning) -> None:
        self._connection, self._intern = connection, interning
        self._heads: dict[ResourceKey, Head | None] = {}

    def learn(self, keys: Iterable[ResourceKey]) -> None:
        """Read the current versions of these keys, unless known."""
        unknown = {key: None for key in keys if key not in self._heads}
        self._heads.update(unknown)
        flat = [part for key in unknown for part in (self._intern.type(key.type), key.id)]
        names = {number: name for name, number in self._intern.types.items()}
        joins = (
            "CROSS JOIN resource r ON r.type=k.column1 AND r.id=k.column2 "
            "LEFT JOIN version v ON v.pid=r.pid LEFT JOIN body b ON b.pid=r.pid"
        )
        for type_, id_, rid, *row in bulk.select(self._connection, f"r.type,r.id,r.rid,{COLUMNS}", joins, flat, 2):
            key = ResourceKey(names[type_], id_)
            self._intern.rids[key] = rid
            if row[0] is not None:
                self._heads[key] = Head(rid, version_of(self._connection, key, row))

    def get(self, key: ResourceKey) -> Head | None:
        """Return the current version of a key."""
        if key not in self._heads:
            self.learn((key,))
        return self._heads[key]

    def exists(self, key: ResourceKey) -> bool:
        """Tell whether there is a current version that is not a deletion."""
        head = self.get(key)
        return head is not None and not head.version.deleted

    def put(self, rid: int, version: Version) -> None:
        """Take note of a version that the group writes."""
        self._heads[version.key] = Head(rid, version)
