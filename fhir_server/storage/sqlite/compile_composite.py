"""The composite node: components compared on one row, whose JSON `rest` keeps them all."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from fhir_server.search import query as q
from fhir_server.search.compare import date_law, number_law
from fhir_server.storage.sqlite.compile_leaves import reference_targets
from fhir_server.storage.sqlite.compile_quantities import alternatives
from fhir_server.storage.sqlite.compile_ranges import law
from fhir_server.storage.sqlite.compile_scope import Scope
from fhir_server.storage.sqlite.compile_sql import NEVER, Predicate, Rows, Source, Sql, both, either, one_of, sql
from fhir_server.storage.sqlite.compile_strings import STRINGS, equal

_Member = Callable[[int], str]
_QUANTITY: Final = ("unit", "low", "high", "stated_unit", "stated_low", "stated_high")


def composite(node: q.Composite, scope: Scope) -> Predicate:
    """Any of the value tuples; all components of a tuple hold on the same row."""
    label = f"{node.param}={len(node.values)} composite value(s)"
    param = scope.param(node.param)
    if param is None:
        return NEVER
    rows = Rows("composite", scope.alias(), param)
    cases = [_tuple(scope, rows, leaves) for leaves in node.values]
    return rows.some(label, [case for case in cases if case is not None], cost=2)


def _tuple(scope: Scope, rows: Rows, leaves: Sequence[q.Leaf]) -> tuple[Sql, Source] | None:
    """Return the condition on a row and where to find it; None where a component cannot be satisfied."""
    found = [_component(scope, rows.a, leaf) for leaf in leaves]
    conditions = [condition for condition in found if condition is not None]
    if len(conditions) < len(found):
        return None
    where = both(conditions)
    return where, rows.filtered(both([rows.key, *_first(scope, rows.a, leaves[0])]), where)


def _first(scope: Scope, a: str, leaf: q.Leaf) -> list[Sql]:
    """Narrow by the leading key: the token of component 0."""
    if not isinstance(leaf, q.Token):
        return []
    ids, systems = scope.values.tokens(leaf.values)
    return [] if systems or not ids else [f"{a}.first" + one_of(ids)]


def _component(scope: Scope, a: str, leaf: q.Leaf) -> Sql | None:
    """Return the condition of one component; None where nothing can satisfy it."""
    position = leaf.param  # type: ignore[union-attr]  # components are leaves with a param
    return _COMPONENTS[type(leaf)](scope, partial(_member, a, position), leaf)


def _member(a: str, position: str, at: int) -> str:
    return f"json_extract({a}.rest,'$[{int(position)}][{at}]')"


def _token(scope: Scope, member: _Member, leaf: q.Token) -> Sql | None:
    ids, systems = scope.values.tokens(leaf.values)
    parts = [member(0) + one_of(ids)] if ids else []
    parts += [sql(f"(SELECT system FROM token_value WHERE value={member(0)})=?", system) for system in systems]
    return either(parts) if parts else None


def _uri(scope: Scope, member: _Member, leaf: q.Uri) -> Sql | None:
    ids = [scope.values.uri(value) for value in leaf.values]
    known = [id_ for id_ in ids if id_ is not None]
    return member(0) + one_of(known) if known else None


def _date(_: Scope, member: _Member, leaf: q.Date) -> Sql:
    return either([law(date_law(value), member(0), member(1)) for value in leaf.values])


def _number(_: Scope, member: _Member, leaf: q.Number) -> Sql:
    return either([law(number_law(value), member(0), member(1)) for value in leaf.values])


def _quantity(scope: Scope, member: _Member, leaf: q.Quantity) -> Sql | None:
    found = [each for value in leaf.values for each in alternatives(scope, value)]
    parts = [each.condition(lambda column: member(_QUANTITY.index(column))) for each in found]
    return either(parts) if parts else None


def _string(_: Scope, member: _Member, leaf: q.String) -> Sql:
    column = member(1 if leaf.mode is q.StringMode.EXACT else 0)
    compare = equal if leaf.mode is q.StringMode.EXACT else STRINGS[leaf.mode]
    return either([compare(column, value) for value in leaf.values])


def _reference(scope: Scope, member: _Member, leaf: q.Reference) -> Sql | None:
    parts = [_one_reference(scope, member, value, leaf.targets) for value in leaf.values]
    known = [part for part in parts if part is not None]
    return either(known) if known else None


def _one_reference(scope: Scope, member: _Member, value: q.ReferenceValue, targets: Sequence[str]) -> Sql | None:
    if value.url is not None:
        found = scope.values.uri(value.url)
        return None if found is None else sql(f"{member(2)}=?", found)
    rids = reference_targets(value, targets, scope)
    return member(0) + one_of(rids) if rids else None


_COMPONENTS: dict[type, Callable[[Scope, _Member, Any], Sql | None]] = {
    q.Token: _token,
    q.Uri: _uri,
    q.Date: _date,
    q.Number: _number,
    q.Quantity: _quantity,
    q.String: _string,
    q.Reference: _reference,
}
