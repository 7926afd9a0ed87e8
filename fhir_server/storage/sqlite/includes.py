"""What `_include` and `_revinclude` bring to a page.

Spec: https://hl7.org/fhir/R4/search.html#revinclude
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_server.search.query import Include, Search, Visibility
from fhir_server.settings import Settings
from fhir_server.storage.sqlite.compile import compile_node
from fhir_server.storage.sqlite.compile_scope import Scope
from fhir_server.storage.sqlite.compile_sql import ALWAYS, Predicate, Sql, Subject, both, either, integers, one_of, sql

_REFERRED = Subject("w.pid", "w.rid", "w.pid")


@dataclass(slots=True)
class _Gathering:
    """Versions brought so far, in the order in which they were found."""

    scope: Scope
    search: Search
    settings: Settings
    taken: set[int]
    found: list[int] = field(default_factory=list)
    cut: bool = False
    visible: dict[int, Sql] = field(default_factory=dict)

    def add(self, pids: Iterable[int]) -> list[int]:
        """Take those that are new, up to the limit; return them."""
        fresh = sorted(set(pids) - self.taken)
        room = self.settings.max_includes - len(self.found)
        self.cut = self.cut or len(fresh) > room
        self.taken.update(fresh[:room])
        self.found += fresh[:room]
        return fresh[:room]


def gather(scope: Scope, search: Search, page: Sequence[int], settings: Settings) -> tuple[list[int], tuple[str, ...]]:
    """Return the pids that the includes bring to a page of pids, and the notes that say what was left out."""
    if not search.includes or not page:
        return [], ()
    gathering = _Gathering(scope, search, settings, set(page))
    fresh = gathering.add(_bring(gathering, search.includes, list(dict.fromkeys(page))))
    again = [include for include in search.includes if include.iterate]
    rounds = 0
    while fresh and again and not gathering.cut:
        ahead = set(_bring(gathering, again, fresh)) - gathering.taken
        if rounds == settings.max_iterations:
            return gathering.found, _notes(gathering, deeper=bool(ahead))
        fresh = gathering.add(ahead)
        rounds += 1
    return gathering.found, _notes(gathering, deeper=False)


def _notes(gathering: _Gathering, *, deeper: bool) -> tuple[str, ...]:
    settings, notes = gathering.settings, []
    if gathering.cut:
        notes.append(f"Included resources were cut at the limit of {settings.max_includes}.")
    if deeper:
        notes.append(f"Includes were followed for {settings.max_iterations} rounds; there are more beyond.")
    return tuple(notes)


def _bring(gathering: _Gathering, includes: Sequence[Include], pids: Sequence[int]) -> list[int]:
    room = gathering.settings.max_includes - len(gathering.found) + len(gathering.taken) + 1
    found: dict[int, None] = {}
    for include in includes:
        params = _params(gathering.scope, include)
        if params:
            query = (_reverse if include.reverse else _forward)(gathering.scope, include, params, pids)
            query = query + " AND " + _visible(gathering) + sql(" ORDER BY w.pid LIMIT ?", room)
            found |= dict.fromkeys(gathering.scope.values.column(query.text, *query.values))
    return list(found)


def _params(scope: Scope, include: Include) -> list[int]:
    """Return the reference parameters that an include follows."""
    where, values = ["type NOT LIKE '#%'", "code NOT LIKE '~%'"], []
    for column, name in (("type", include.source), ("code", include.param)):
        if name != "*":
            where.append(f"{column}=?")
            values.append(name)
    return scope.values.column(f"SELECT param FROM param WHERE {' AND '.join(where)}", *values)


def _forward(scope: Scope, include: Include, params: Sequence[int], pids: Sequence[int]) -> Sql:
    rows = sql(
        "SELECT DISTINCT w.pid FROM carray(?) m CROSS JOIN ref f INDEXED BY ref_pid ON f.pid=m.value", integers(pids)
    )
    current = " CROSS JOIN version w ON w.rid=f.target WHERE f.param"
    if scope.snapshot.live:
        current = " CROSS JOIN resource r ON r.rid=f.target CROSS JOIN version w ON w.pid=r.pid WHERE f.param"
    return rows + current + one_of(params) + " AND " + both([_target(scope, include, "w"), scope.snapshot.valid("w")])


def _reverse(scope: Scope, include: Include, params: Sequence[int], pids: Sequence[int]) -> Sql:
    rows = sql("SELECT DISTINCT w.pid FROM carray(?) m CROSS JOIN version v ON v.pid=m.value", integers(pids))
    rows = rows + " CROSS JOIN ref f ON f.target=v.rid AND f.param" + one_of(params)
    current = " CROSS JOIN version w ON w.pid=f.pid WHERE "
    return rows + current + both([_target(scope, include, "v"), scope.snapshot.valid("w")])


def _target(scope: Scope, include: Include, version: str) -> Sql:
    """Return the condition on the type that a reference must point to."""
    return sql("1") if include.target is None else sql(f"{version}.type=?", scope.values.type(include.target) or -1)


def _visible(gathering: _Gathering) -> Sql:
    """Return the condition that the caller may see `w`, compiled once."""
    if 0 not in gathering.visible:
        gathering.visible[0] = visible(gathering.scope, gathering.search.visible).probe(_REFERRED)
    return gathering.visible[0]


def visible(scope: Scope, visibility: Visibility) -> Predicate:
    """Compile what the caller may see, whatever the type of the version; asked of its `pid`."""
    if visibility.unrestricted:
        return ALWAYS
    types: list[Any] = scope.values.connection.execute("SELECT type, name FROM type").fetchall()
    parts = [(kind, compile_node(visibility.of(name), scope.at(name))) for kind, name in types]

    def probe(subject: Subject) -> Sql:
        kind = f"(SELECT type FROM version WHERE pid={subject.pid})"
        return either(
            [sql("0"), *("(" + kind + sql("=? AND ", each) + part.probe(subject) + ")" for each, part in parts)]
        )

    return Predicate("visible", probe)
