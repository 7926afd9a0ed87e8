"""What a merge changed, kept so that it can be undone: no content of patients, only keys, versions and places."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_match.references import Place
from fhir_server.plugin_api import Collection, PluginContext, RecordChange, RecordField, ResourceKey, Where

MERGES = Collection(
    "fhir_match.merges", (RecordField("source"), RecordField("target"), RecordField("at", "integer")), patient="target"
)
MOVED = Collection("fhir_match.moved", (RecordField("merge"), RecordField("target")), patient="target")


@dataclass(frozen=True, slots=True)
class Moved:
    """A resource whose references were turned: its version since, and where they stand."""

    key: ResourceKey
    version: int
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Merge:
    """One merge. source, target: as `Patient/1`; their versions before and after. at: milliseconds since 1970."""

    id: str
    source: str
    target: str
    source_versions: tuple[int, int]
    target_versions: tuple[int, int]
    at: int
    moved: int
    undone: int = 0
    revision: int = 0

    def change(self, **more: object) -> RecordChange:
        """Return the change that writes the record."""
        value = {
            "source": self.source, "target": self.target, "source_versions": list(self.source_versions),
            "target_versions": list(self.target_versions), "at": self.at, "moved": self.moved, "undone": self.undone,
        }  # fmt: skip
        return RecordChange(MERGES.name, self.id, {**value, **more}, expected=self.revision)


def moved_changes(merge: Merge, moved: Sequence[Moved], per_record: int) -> Iterator[RecordChange]:
    """Yield the records of what was moved."""
    for start in range(0, len(moved), per_record):
        rows = [
            [*each.key, each.version, [list(place) for place in each.places]] for each in moved[start:][:per_record]
        ]
        value = {"merge": merge.id, "source": merge.source, "target": merge.target, "moved": rows}
        yield RecordChange(MOVED.name, f"{merge.id}.{start // per_record:05d}", value, expected=0)


async def latest(ctx: PluginContext, source: str) -> Merge | None:
    """Return the latest merge of a source that is not undone."""
    where = (Where("source", "=", source),)
    records = await ctx.store.find(MERGES.name, where, order="-at", limit=100)
    for record in records:
        if not record.value["undone"]:
            return _merge(record.key, record.value, record.revision)
    return None


async def moved_by(ctx: PluginContext, merge: Merge) -> list[Moved]:
    """Return what a merge moved."""
    found: list[Moved] = []
    after: str | None = None
    while True:
        records = await ctx.store.find(MOVED.name, (Where("merge", "=", merge.id),), after=after, limit=50)
        for record in records:
            found += [_moved(row) for row in _rows(record.value)]
        if len(records) < 50:
            return found
        after = records[-1].key


def _rows(value: Mapping[str, Any]) -> Sequence[Any]:
    rows: Sequence[Any] = value["moved"]
    return rows


def _moved(row: Any) -> Moved:
    type_, id_, version, places = row
    return Moved(ResourceKey(type_, id_), version, tuple(tuple(place) for place in places))


def _merge(key: str, value: Mapping[str, Any], revision: int) -> Merge:
    one, two = value["source_versions"], value["target_versions"]
    return Merge(
        key, value["source"], value["target"], (one[0], one[1]), (two[0], two[1]), value["at"], value["moved"],
        value["undone"], revision,
    )  # fmt: skip
