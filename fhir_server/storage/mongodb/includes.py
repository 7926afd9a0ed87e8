"""What `_include` and `_revinclude` bring to a page.

Spec: https://hl7.org/fhir/R4/search.html#revinclude
"""

from collections.abc import Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from fhir_server.model.keys import ResourceKey
from fhir_server.search.match import matches
from fhir_server.search.parameters_links import is_internal
from fhir_server.search.query import Include, Node, Search
from fhir_server.settings import Settings
from fhir_server.storage.mongodb.document import Document
from fhir_server.storage.mongodb.resolve import resolve
from fhir_server.storage.mongodb.rows import ALONE, Row, Snapshot


@dataclass(slots=True)
class _Gathering:
    """Resources brought so far, in the order in which they were found."""

    snapshot: Snapshot
    search: Search
    limit: int
    taken: set[ResourceKey]
    found: list[Row] = field(default_factory=list)
    cut: bool = False
    visible: dict[str, Node] = field(default_factory=dict)

    async def add(self, rows: Iterable[Row]) -> list[Row]:
        """Take those that are new and visible, up to the limit; return them."""
        fresh: list[Row] = []
        for row in sorted(rows, key=lambda row: row.version.pid):
            if not await self.wants(row):
                continue
            if len(self.found) >= self.limit:
                self.cut = True
                break
            self.taken.add(row.key)
            self.found.append(row)
            fresh.append(row)
        return fresh

    async def wants(self, row: Row) -> bool:
        """Tell whether the row is new and visible."""
        if row.key in self.taken:
            return False
        type_ = row.key.type
        if type_ not in self.visible:
            self.visible[type_] = await resolve(self.snapshot, self.search.visible.of(type_), type_)
        return matches(self.visible[type_], row.version, row.entries, ALONE)

    async def bring(self, includes: Iterable[Include], rows: Sequence[Row]) -> list[Row]:
        """Return what includes lead to from some rows."""
        found: dict[ResourceKey, Row] = {}
        for include in includes:
            brought = await (self._reverse if include.reverse else self._forward)(include, rows)
            found |= {row.key: row for row in brought}
        return list(found.values())

    async def _forward(self, include: Include, rows: Sequence[Row]) -> list[Row]:
        sources = [row for row in rows if include.source in ("*", row.key.type)]
        keys = dict.fromkeys(key for row in sources for key in _targets(row, include))
        return list((await self.snapshot.named(list(keys))).values())

    async def _reverse(self, include: Include, rows: Sequence[Row]) -> list[Row]:
        wanted = {row.key for row in rows if include.target in (None, row.key.type)}
        if not wanted:
            return []
        param = "" if include.param == "*" else include.param
        keys = [self.snapshot.compiler.keys.reference(param, key.type, key.id) for key in wanted]
        match: Document = self.snapshot.keyed(keys)
        if include.source != "*":
            match["t"] = include.source
        found: list[Row] = []
        # Those behind the limit are not needed, save one that is taken already or cannot be seen.
        async with aclosing(self.snapshot.rows(match, [("_id", 1)])) as referring:
            async for row in referring:
                if any(key in wanted for key in _targets(row, include)) and await self.wants(row):
                    found.append(row)
                if len(found) > self.limit:
                    break
        return found


async def gather(
    snapshot: Snapshot, search: Search, page: Sequence[Row], settings: Settings
) -> tuple[list[Row], tuple[str, ...]]:
    """Return the included resources and the notes that say what was cut."""
    if not search.includes:
        return [], ()
    gathering = _Gathering(snapshot, search, settings.max_includes, {row.key for row in page})
    fresh = await gathering.add(await gathering.bring(search.includes, page))
    again = [include for include in search.includes if include.iterate]
    rounds, deeper = 0, False
    while fresh and again and not gathering.cut:
        brought = await gathering.bring(again, fresh)
        if rounds == settings.max_iterations:
            deeper = any([await gathering.wants(row) for row in brought])
            break
        fresh = await gathering.add(brought)
        rounds += 1
    return gathering.found, _notes(gathering, settings, deeper=deeper)


def _notes(gathering: _Gathering, settings: Settings, *, deeper: bool) -> tuple[str, ...]:
    notes = []
    if gathering.cut:
        notes.append(f"Included resources were cut at the limit of {settings.max_includes}.")
    if deeper:
        notes.append(f"Includes were followed for {settings.max_iterations} rounds; there are more beyond.")
    return tuple(notes)


def _targets(row: Row, include: Include) -> list[ResourceKey]:
    return [
        ResourceKey(type_, id_)
        for param, type_, id_, _, _ in row.entries.references
        if type_ not in (None, "#") and id_ is not None and type_ is not None
        if include.param in ("*", param) and not is_internal(param) and include.target in (None, type_)
    ]
