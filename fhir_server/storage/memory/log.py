"""The version log in memory, and what of it a snapshot shows."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search.entries import IndexEntries
from fhir_server.search.fulltext import content_text, narrative_text
from fhir_server.search.match import Found, VersionLike


@dataclass(slots=True)
class Row:
    """A version and its index entries; those of a deletion are the ones of the version that it ended.

    `erased`: that version was purged, so there is nothing left to judge the deletion by.
    """

    version: Version
    entries: IndexEntries
    erased: bool = False

    @property
    def key(self) -> ResourceKey:
        """The key of the resource."""
        return self.version.key


@dataclass(slots=True)
class Log:
    """All versions in the order of (txid, pid)."""

    rows: list[Row] = field(default_factory=list)
    by_key: dict[ResourceKey, list[Row]] = field(default_factory=dict)
    times: dict[int, int] = field(default_factory=dict)
    next_pid: int = 1

    @property
    def last_txid(self) -> int:
        """The newest commit."""
        return max(self.times, default=0)

    @property
    def last_updated(self) -> int:
        """The instant of the newest commit."""
        return self.times.get(self.last_txid, 0)

    def append(self, row: Row) -> None:
        """Add a version."""
        self.rows.append(row)
        self.by_key.setdefault(row.key, []).append(row)

    def remove(self, rows: Iterable[Row]) -> None:
        """Erase versions."""
        for row in list(rows):
            self.rows.remove(row)
            self.by_key[row.key].remove(row)
            if not self.by_key[row.key]:
                del self.by_key[row.key]

    def current(self, key: ResourceKey) -> Row | None:
        """Return the newest version of a resource, a deletion included."""
        rows = self.by_key.get(key)
        return rows[-1] if rows else None

    def at(self, txid: int) -> "Snapshot":
        """Return what was visible when `txid` was the newest commit."""
        return Snapshot(self, txid)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The current resources as of one commit; the `Lookup` of the matcher."""

    log: Log
    txid: int

    def row(self, key: ResourceKey) -> Row | None:
        """Return the version of a resource that was current, unless it was a deletion."""
        rows = [row for row in self.log.by_key.get(key, ()) if row.version.txid <= self.txid]
        return rows[-1] if rows and not rows[-1].version.deleted else None

    def rows(self, type_: str | None = None) -> list[Row]:
        """Return all current rows (of a type) in the order of pid."""
        keys = [key for key in self.log.by_key if type_ in (None, key.type)]
        found = [row for key in keys if (row := self.row(key)) is not None]
        return sorted(found, key=lambda row: row.version.pid)

    def current(self, key: ResourceKey) -> Found | None:
        """Return one current resource."""
        row = self.row(key)
        return Found(row.version, row.entries) if row else None

    def referring(self, type_: str, param: str, key: ResourceKey) -> list[Found]:
        """Return the current resources of a type that refer to `key` by a parameter."""
        return [
            Found(row.version, row.entries)
            for row in self.rows(type_)
            if any(ref[:3] == (param, key.type, key.id) for ref in row.entries.references)
        ]

    def text(self, version: VersionLike, *, content: bool) -> str:
        """Return the text of a resource; a contained one has none of its own."""
        body = version.body.data if isinstance(version, Version) else b"{}"
        return content_text(body) if content else narrative_text(body)
