"""The compiler from the neutral search tree to SQL: the nodes that join others, and the table of all.

A node becomes a `Predicate`: a probe ("does it hold for this row?") and, where an index can list its rows, a source.
The planner (`plan.py`) chooses from which source to drive. What cannot match folds away before there is any SQL.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fhir_server.search import query as q
from fhir_server.storage.sqlite import (
    compile_composite,
    compile_dates,
    compile_leaves,
    compile_quantities,
    compile_ranges,
    compile_sets,
    compile_strings,
)
from fhir_server.storage.sqlite.compile_scope import Scope
from fhir_server.storage.sqlite.compile_sql import (
    ALWAYS,
    NEVER,
    Predicate,
    Source,
    Sql,
    Subject,
    any_of,
    both,
    none_of,
    sql,
)


def compile_node(node: q.Node, scope: Scope) -> Predicate:
    """Compile a tree for resources of the scope's type."""
    return _COMPILERS[type(node)](node, scope)


def conjuncts(node: q.Node, scope: Scope) -> list[Predicate]:
    """Compile a tree as the list of all that must hold: [] for everything, [NEVER] for nothing."""
    found: list[Predicate] = []
    leaves, dates = _flat(node), defaultdict(list)
    for leaf in leaves:
        if isinstance(leaf, q.Date):
            dates[leaf.param].append(leaf)
    predicates = [compile_node(leaf, scope) for leaf in leaves if not isinstance(leaf, q.Date)]
    for predicate in [*predicates, *(compile_dates.dates(nodes, scope) for nodes in dates.values())]:
        if predicate is NEVER:
            return [NEVER]
        if predicate is not ALWAYS:
            found.append(predicate)
    return found


def _flat(node: q.Node) -> list[q.Node]:
    return [leaf for each in node.nodes for leaf in _flat(each)] if isinstance(node, q.And) else [node]


def _and(node: q.And, scope: Scope) -> Predicate:
    parts = conjuncts(node, scope)
    if not parts:
        return ALWAYS
    if len(parts) == 1:
        return parts[0]
    label = "(" + " and ".join(part.label for part in parts) + ")"
    source, _ = best_source(parts, scope)
    loose = None if source is None else replace(source, exact=False)
    return Predicate(label, lambda s: probes(parts, s), loose, sum(part.cost for part in parts))


def probes(parts: list[Predicate], subject: Subject) -> Sql:
    """Return the condition that all parts hold, cheap ones first."""
    return both([part.probe(subject) for part in sorted(parts, key=lambda part: part.cost)])


def best_source(parts: list[Predicate], scope: Scope) -> tuple[Source | None, Predicate | None]:
    """Return the source with the fewest rows, and the part that it comes from."""
    found = [(part.source, part) for part in parts if part.source is not None]
    if not found:
        return None, None
    if len(found) == 1:
        return found[0]
    return min(found, key=lambda pair: scope.estimate(pair[0]))


def _or(node: q.Or, scope: Scope) -> Predicate:
    return any_of(compile_node(each, scope) for each in node.nodes)


def _not(node: q.Not, scope: Scope) -> Predicate:
    return none_of(compile_node(node.node, scope))


def _chain(node: q.Chain, scope: Scope) -> Predicate:
    """Forward chain: to the version of the target that is current in the snapshot, or to a contained resource."""
    param = scope.param(node.param)
    if param is None:
        return NEVER
    parts = [_chain_to_resource(node, param, scope), _chain_to_contained(node, param, scope)]
    return any_of(parts, f"{node.param}:{node.target}->...")


def _chain_to_resource(node: q.Chain, param: int, scope: Scope) -> Predicate:
    kind, inner = scope.values.type(node.target), conjuncts(node.node, scope.at(node.target))
    if kind is None or NEVER in inner:
        return NEVER
    f, r, w = scope.alias(), scope.alias(), scope.alias()
    target = Subject(f"{w}.pid", f"{w}.rid", f"{w}.pid")
    holds = both([sql(f"{w}.type=?", kind), scope.snapshot.valid(w), probes(inner, target)])

    def probe(subject: Subject) -> Sql:
        rows = sql(f"EXISTS(SELECT 1 FROM ref {f} INDEXED BY ref_pid {_current(scope, f'{f}.target', r, w)}")
        return rows + sql(f" WHERE {f}.pid={subject.pid} AND {f}.param=? AND ", param) + holds + ")"

    source, origin = best_source(inner, scope)
    if source is None or origin is None:
        return Predicate(f"{node.param}->{node.target}", probe, None, cost=4)
    rest = [part for part in inner if part is not origin or not source.exact]
    checked = both([sql(f"{w}.type=?", kind), scope.snapshot.valid(w), probes(rest, target)])
    rows = f"SELECT {f}.pid AS pid FROM (" + source.select + f") {r} CROSS JOIN version {w} ON {w}.pid={r}.pid"
    rows = rows + f" CROSS JOIN ref {f} ON {f}.target={w}.rid WHERE " + checked + sql(f" AND {f}.param=?", param)
    label = f"{node.param}->{node.target}({' and '.join(part.label for part in inner)})"
    return Predicate(label, probe, Source(rows, inner=source), cost=4)


def _current(scope: Scope, rid: str, r: str, w: str) -> str:
    """Join the version of a resource that may be valid in the snapshot; the newest is known without a search."""
    if scope.snapshot.live:
        return f"CROSS JOIN resource {r} ON {r}.rid={rid} CROSS JOIN version {w} ON {w}.pid={r}.pid"
    return f"CROSS JOIN version {w} ON {w}.rid={rid}"


def _chain_to_contained(node: q.Chain, param: int, scope: Scope) -> Predicate:
    kind = scope.values.type(node.target)
    if kind is None or scope.values.one("SELECT 1 FROM contained WHERE type=? LIMIT 1", kind) is None:
        return NEVER
    inner = conjuncts(node.node, scope.at(node.target, contained=True))
    if NEVER in inner:
        return NEVER
    f, c = scope.alias(), scope.alias()
    target = Subject(f"{c}.cid", f"-{c}.cid", f"{c}.pid", contained=True)
    holds = both([sql(f"{c}.type=?", kind), probes(inner, target)])

    def probe(subject: Subject) -> Sql:
        rows = f"EXISTS(SELECT 1 FROM ref {f} INDEXED BY ref_pid CROSS JOIN contained {c} ON {c}.cid=-{f}.target"
        return sql(f"{rows} WHERE {f}.pid={subject.pid} AND {f}.param=? AND ", param) + holds + ")"

    rows = f"SELECT {f}.pid AS pid FROM contained {c} CROSS JOIN ref {f} ON {f}.target=-{c}.cid WHERE "
    each = Source(sql("SELECT 1 FROM contained WHERE type=?", kind))
    source = Source(rows + holds + sql(f" AND {f}.param=?", param), inner=each)
    return Predicate(f"{node.param}->#{node.target}", probe, source, cost=4)


def _has(node: q.Has, scope: Scope) -> Predicate:
    """Reverse chain: from the referring versions of the snapshot."""
    inner = conjuncts(node.node, scope.at(node.type))
    param = scope.values.param(node.type, node.param)
    if param is None or NEVER in inner or scope.contained:  # nothing refers to a contained resource from outside
        return NEVER
    f, w = scope.alias(), scope.alias()
    from_ = Subject(f"{f}.pid", f"{w}.rid", f"{f}.pid")

    def probe(subject: Subject) -> Sql:
        rows = f"EXISTS(SELECT 1 FROM ref {f} CROSS JOIN version {w} ON {w}.pid={f}.pid WHERE {f}.param=?"
        holds = both([probes(inner, from_), scope.snapshot.valid(w)])
        return sql(f"{rows} AND {f}.target={subject.rid} AND ", param) + holds + ")"

    label = f"_has:{node.type}:{node.param}({' and '.join(part.label for part in inner)})"
    return Predicate(label, probe, _has_source(param, inner, scope), cost=8)


def _has_source(param: int, inner: list[Predicate], scope: Scope) -> Source | None:
    source, origin = best_source(inner, scope)
    if source is None or origin is None:
        return None
    f, w, r, u, s = (scope.alias() for _ in range(5))
    rest = [part for part in inner if part is not origin or not source.exact]
    checked = both([scope.snapshot.valid(w), probes(rest, Subject(f"{w}.pid", f"{w}.rid", f"{w}.pid"))])
    rows = f"SELECT {u}.pid AS pid FROM (" + source.select + f") {s} CROSS JOIN version {w} ON {w}.pid={s}.pid"
    rows = rows + sql(f" CROSS JOIN ref {f} INDEXED BY ref_pid ON {f}.pid={w}.pid AND {f}.param=? ", param)
    return Source(rows + _current(scope, f"{f}.target", r, u) + " WHERE " + checked, indexed=False, inner=source)


_COMPILERS: dict[type, Callable[[Any, Scope], Predicate]] = {
    q.And: _and,
    q.Or: _or,
    q.Not: _not,
    q.Chain: _chain,
    q.Has: _has,
    q.Token: compile_leaves.token,
    q.TokenText: compile_strings.token_text,
    q.OfType: compile_leaves.of_type,
    q.String: compile_strings.string,
    q.Uri: compile_leaves.uri,
    q.Date: compile_dates.date,
    q.Number: compile_ranges.number,
    q.Quantity: compile_quantities.quantity,
    q.Reference: compile_leaves.reference,
    q.ReferenceIdentifier: compile_leaves.reference_identifier,
    q.Composite: compile_composite.composite,
    q.Near: compile_ranges.near,
    q.Missing: compile_leaves.missing,
    q.Ids: compile_leaves.ids,
    q.Among: compile_sets.among,
    q.LastUpdated: compile_ranges.last_updated,
    q.FullText: compile_leaves.full_text,
}
