"""What is known of tables: one record for each, and one for each partition of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from zlib import crc32

from fhir_server.plugin_api import Collection, PluginContext, Record, RecordChange, RecordField, Where

TABLES = Collection("fhir_views.tables", (RecordField("view"),))
PARTS = Collection("fhir_views.parts", (RecordField("table"),))
_MOST = 1_000

State = Literal["building", "ready", "failed"]


@dataclass(frozen=True, slots=True)
class Table:
    """One table: a view at one version of its definition.

    Attributes:
        key: the id of the view, and of the making of this table.
        version: that of the definition, which is kept here as JSON.
        faults: how many resources gave an error in place of rows; `fault` is the last one.
        hidden: how many resources the plugin itself could not see when it was made.
        stale: what may be seen has changed, so it has to be made anew.
    """

    key: str
    view: str
    version: str
    name: str
    type: str
    definition: str
    partitions: int
    state: State = "building"
    built: int = 0
    faults: int = 0
    fault: str = ""
    hidden: int = 0
    stale: bool = False

    def put(self) -> RecordChange:
        """The change that writes it."""
        names = (name for name in Table.__slots__ if name != "key")
        return RecordChange(TABLES.name, self.key, {name: getattr(self, name) for name in names})

    def drop(self) -> RecordChange:
        """The change that removes it."""
        return RecordChange(TABLES.name, self.key, None)

    def partition(self, resource: str) -> int:
        """The partition of a resource, by its id."""
        return crc32(resource.encode()) % self.partitions

    def part_key(self, partition: int) -> str:
        """The key of the record of a partition."""
        return f"{self.key}~{partition:04d}"

    def compiled_from(self) -> Any:
        """The definition."""
        return json.loads(self.definition)

    def but(self, **changes: Any) -> "Table":
        """The same with some things changed."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Part:
    """One partition as it is stored; `live` is the number of resources that are there, with or without rows."""

    key: str
    revision: int
    blob: str
    rows: int
    live: int


def read_table(record: Record) -> Table:
    """A table from its record."""
    value: Any = record.value
    return Table(key=record.key, **value)


async def tables(ctx: PluginContext, view: str = "") -> list[Table]:
    """All tables, or those of a view."""
    where = [Where("view", "=", view)] if view else []
    return [read_table(record) for record in await ctx.store.find(TABLES.name, where, limit=_MOST)]


async def parts(ctx: PluginContext, table: Table) -> Sequence[Part]:
    """The partitions of a table that have been written."""
    found = await ctx.store.find(PARTS.name, [Where("table", "=", table.key)], limit=_MOST)
    return [_part(record) for record in found]


async def part(ctx: PluginContext, table: Table, partition: int) -> Part | None:
    """One partition."""
    record = await ctx.store.get(PARTS.name, table.part_key(partition))
    return None if record is None else _part(record)


def _part(record: Record) -> Part:
    value: Any = record.value
    return Part(record.key, record.revision, value["blob"], value["rows"], value["live"])


def put_part(table: Table, key: str, revision: int, blob: str, counts: tuple[int, int]) -> RecordChange:
    """The change that writes a partition over the revision that was read (0: none); counts are rows and live."""
    value = {"table": table.key, "blob": blob, "rows": counts[0], "live": counts[1]}
    return RecordChange(PARTS.name, key, value, expected=revision)
