"""What `_include` and `_revinclude` bring to a page, in the reference engine.

Spec: https://hl7.org/fhir/R4/search.html#revinclude
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fhir_server.model.keys import ResourceKey
from fhir_server.search.match import matches
from fhir_server.search.parameters_links import is_internal
from fhir_server.search.query import Include, Search
from fhir_server.settings import Settings
from fhir_server.storage.memory.log import Row, Snapshot


@dataclass(slots=True)
class _Gathering:
    """Resources brought so far, in the order in which they were found."""

    snapshot: Snapshot
    search: Search
    limit: int
    taken: set[ResourceKey]
    found: list[Row]
    cut: bool = False

    def add(self, rows: Iterable[Row]) -> list[Row]:
        """Take those that are new and visible, up to the limit; return them."""
        fresh: list[Row] = []
        for row in sorted(rows, key=lambda row: row.version.pid):
            if not self.wants(row):
                continue
            if len(self.found) >= self.limit:
                self.cut = True
                break
            self.taken.add(row.key)
            self.found.append(row)
            fresh.append(row)
        return fresh

    def wants(self, row: Row) -> bool:
        """Tell whether the row is new and visible."""
        return row.key not in self.taken and self._visible(row)

    def _visible(self, row: Row) -> bool:
        return matches(self.search.visible.of(row.key.type), row.version, row.entries, self.snapshot)


def gather(
    snapshot: Snapshot, search: Search, page: Sequence[Row], settings: Settings
) -> tuple[list[Row], tuple[str, ...]]:
    """Return the included resources and the notes that say what was cut."""
    gathering = _Gathering(snapshot, search, settings.max_includes, {row.key for row in page}, [])
    if not search.includes:
        return [], ()
    fresh = gathering.add(_bring(snapshot, search.includes, page))
    again = [include for include in search.includes if include.iterate]
    rounds = 0
    while fresh and again and not gathering.cut:
        if rounds == settings.max_iterations:
            deeper = any(gathering.wants(row) for row in _bring(snapshot, again, fresh))
            return gathering.found, _notes(gathering, settings, deeper=deeper)
        fresh = gathering.add(_bring(snapshot, again, fresh))
        rounds += 1
    return gathering.found, _notes(gathering, settings, deeper=False)


def _notes(gathering: _Gathering, settings: Settings, *, deeper: bool) -> tuple[str, ...]:
    notes = []
    if gathering.cut:
        notes.append(f"Included resources were cut at the limit of {settings.max_includes}.")
    if deeper:
        notes.append(f"Includes were followed for {settings.max_iterations} rounds; there are more beyond.")
    return tuple(notes)


def _bring(snapshot: Snapshot, includes: Iterable[Include], rows: Sequence[Row]) -> list[Row]:
    found: dict[ResourceKey, Row] = {}
    for include in includes:
        brought = _reverse(snapshot, include, rows) if include.reverse else _forward(snapshot, include, rows)
        found |= {row.key: row for row in brought}
    return list(found.values())


def _forward(snapshot: Snapshot, include: Include, rows: Iterable[Row]) -> Iterable[Row]:
    for row in rows:
        if include.source in ("*", row.key.type):
            for key in _targets(row, include):
                target = snapshot.row(key)
                if target is not None:
                    yield target


def _reverse(snapshot: Snapshot, include: Include, rows: Sequence[Row]) -> Iterable[Row]:
    wanted = {row.key for row in rows}
    for row in snapshot.rows(None if include.source == "*" else include.source):
        if any(key in wanted for key in _targets(row, include)):
            yield row


def _targets(row: Row, include: Include) -> list[ResourceKey]:
    return [
        ResourceKey(type_, id_)
        for param, type_, id_, _, _ in row.entries.references
        if type_ not in (None, "#") and id_ is not None and type_ is not None
        if include.param in ("*", param) and not is_internal(param) and include.target in (None, type_)
    ]
