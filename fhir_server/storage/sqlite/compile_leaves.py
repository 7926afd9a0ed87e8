"""Leaves of the tree whose values are interned: tokens, URIs, references, identifiers; presence, ids, full text."""

from collections.abc import Sequence
from functools import partial

from fhir_server.search import query as q
from fhir_server.storage.sqlite.blind import is_personal
from fhir_server.storage.sqlite.compile_scope import Scope
from fhir_server.storage.sqlite.compile_sql import (
    ALWAYS,
    MERGED,
    NEVER,
    Predicate,
    Rows,
    Source,
    Sql,
    Subject,
    Walkable,
    any_of,
    either,
    integers,
    joined,
    none_of,
    one_of,
    sql,
)
from fhir_server.storage.sqlite.compile_strings import first_of, prefixed, shown
from fhir_server.storage.sqlite.composites import reference_version
from fhir_server.storage.sqlite.text_query import fts5_query

_TABLES = ("token", "string", "date", "number", "quantity", "uri", "ref", "composite", "position")
_COLUMN = {"token": "value", "uri": "value", "ref": "target"}


def interned(scope: Scope, table: str, param: int | None, ids: Sequence[int], label: str) -> Predicate:
    """Return the predicate that there is a row with one of these ids under a parameter."""
    if param is None or not ids:
        return NEVER
    a, column = scope.alias(), _COLUMN[table]
    head = f"SELECT {a}.pid AS pid FROM {table} {a} WHERE {a}.param=? AND {a}.{column}"
    once = "" if table != "ref" else first_of("ref", ("param", "target", "pid"), "version", a)
    walks = (Walkable(sql(f"{head}=?{once}", param, id_), f"{a}.pid") for id_ in ids[: MERGED + 1])
    source = Source(sql(head, param) + one_of(ids), tuple(walks) if len(ids) <= MERGED else ())
    return Predicate(label, partial(_interned_probe, table, a, param, ids), source)


def _interned_probe(table: str, a: str, param: int, ids: Sequence[int], subject: Subject) -> Sql:
    column = _COLUMN[table]
    if len(ids) == 1:
        head = f"EXISTS(SELECT 1 FROM {table} {a} WHERE {a}.param=? AND {a}.{column}=? AND {a}.pid={subject.pid})"
        return sql(head, param, ids[0])
    head = f"EXISTS(SELECT 1 FROM {table} {a} INDEXED BY {table}_pid WHERE {a}.pid={subject.pid} AND {a}.param=?"
    return sql(f"{head} AND +{a}.{column}", param) + one_of(ids) + ")"


def token(node: q.Token, scope: Scope) -> Predicate:
    """A code, of any system, of none or of one; or any code of a system."""
    return _tokens(scope, node.param, node.values)


def _tokens(scope: Scope, code: str, values: Sequence[q.TokenValue]) -> Predicate:
    param = scope.param(code)
    if param is None:
        return NEVER
    ids, systems = scope.values.personal_tokens(values) if is_personal(code) else scope.values.tokens(values)
    label = f"{code}={shown(map(_shown_token, values))}"
    parts = [interned(scope, "token", param, ids, label)]
    return any_of([*parts, *(_system(scope, param, system, label) for system in systems)])


def _shown_token(value: q.TokenValue) -> str:
    return (value.code or "") if value.system is None else f"{value.system}|{value.code or ''}"


def _system(scope: Scope, param: int, system: int, label: str) -> Predicate:
    """Any code of a system that has too many to list them."""
    rows, b = Rows("token", scope.alias(), param), scope.alias()
    where = sql(f"EXISTS(SELECT 1 FROM token_value {b} WHERE {b}.value={rows.a}.value AND {b}.system=?)", system)
    return rows.some(label, [(where, rows.filtered(rows.key, where))], cost=2)


def reference_identifier(node: q.ReferenceIdentifier, scope: Scope) -> Predicate:
    """The logical identifier of a reference stands as a token."""
    return _tokens(scope, f"{node.param}:identifier", node.values)


def of_type(node: q.OfType, scope: Scope) -> Predicate:
    """`identifier:of-type` stands as a token whose system is the type's `system|code`."""
    values = [q.TokenValue(f"{system}|{code}", value) for system, code, value in node.values]
    return _tokens(scope, f"{node.param}:of-type", values)


def reference(node: q.Reference, scope: Scope) -> Predicate:
    """References to resources here are rows of `ref`, by URL rows of `uri`."""
    label = f"{node.param}={shown(map(_shown_reference, node.values))}"
    plain = [value for value in node.values if value.version is None]
    rids = [rid for value in plain for rid in reference_targets(value, node.targets, scope)]
    urls = [scope.values.uri(value.url) for value in plain if value.url is not None]
    param = scope.param(node.param)
    parts = [
        interned(scope, "ref", param, list(dict.fromkeys(rids)), label),
        interned(scope, "uri", param, [url for url in urls if url is not None], label),
    ]
    versioned = [value for value in node.values if value.version is not None]
    return any_of([*parts, *(_versioned(node, value, scope, label) for value in versioned)], label)


def _shown_reference(value: q.ReferenceValue) -> str:
    return value.url or "/".join(part for part in (value.type, value.id) if part)


def reference_targets(value: q.ReferenceValue, targets: Sequence[str], scope: Scope) -> list[int]:
    """Return the rids that a reference by type and id, or by id alone, may mean."""
    if value.id is None:
        return []
    if value.type is None and not targets:
        return scope.values.rids_of_any_type(value.id)
    types = targets if value.type is None else (value.type,)
    found = [scope.values.rid(type_, value.id) for type_ in types]
    return [rid for rid in found if rid is not None]


def _versioned(node: q.Reference, value: q.ReferenceValue, scope: Scope, label: str) -> Predicate:
    if value.url is not None:
        url = scope.values.uri(f"{value.url}|{value.version}")
        return interned(scope, "uri", scope.param(f"{node.param}:version"), [] if url is None else [url], label)
    param, rids = scope.param(node.param), reference_targets(value, node.targets, scope)
    version, a = reference_version(value.version), scope.alias()
    if param is None or not rids or version < 1:
        return NEVER
    found = sql(f"FROM ref {a} WHERE {a}.param=? AND {a}.version=? AND {a}.target", param, version) + one_of(rids)

    def probe(subject: Subject) -> Sql:
        return "EXISTS(SELECT 1 " + found + f" AND {a}.pid={subject.pid})"

    return Predicate(label, probe, Source(f"SELECT {a}.pid AS pid " + found))


def uri(node: q.Uri, scope: Scope) -> Predicate:
    """A URI, or what stands below or above it in its hierarchy."""
    label = f"{node.param} {node.mode} {shown(node.values)}"
    param = scope.param(node.param)
    if node.mode is q.StringMode.BELOW:
        return any_of((_below(scope, param, value, label) for value in node.values), label)
    names = [name for value in node.values for name in _names(node.mode, value)]
    ids = [scope.values.uri(name) for name in dict.fromkeys(names)]
    return interned(scope, "uri", param, [id_ for id_ in ids if id_ is not None], label)


def _names(mode: q.StringMode, value: str) -> list[str]:
    """Return the URIs that `value` matches: itself, and for `:above` all from which it hangs."""
    if mode is q.StringMode.EXACT:
        return [value]
    ends = [at for at, character in enumerate(value) if character == "/"]
    return [value, *(value[:at] for at in ends), *(value[: at + 1] for at in ends)]


def _below(scope: Scope, param: int | None, value: str, label: str) -> Predicate:
    if param is None:
        return NEVER
    a, b = scope.alias(), scope.alias()
    base = value if value.endswith("/") else value + "/"
    where = either([sql(f"{b}.uri=?", value), prefixed(f"{b}.uri", base)])
    tables = f"FROM uri_value {b} CROSS JOIN uri {a} ON {a}.param=? AND {a}.value={b}.value WHERE "
    rows = sql(f"SELECT {a}.pid AS pid {tables}", param) + where

    def probe(subject: Subject) -> Sql:
        head = f"EXISTS(SELECT 1 FROM uri {a} INDEXED BY uri_pid CROSS JOIN uri_value {b} ON {b}.value={a}.value"
        return sql(f"{head} WHERE {a}.pid={subject.pid} AND {a}.param=? AND ", param) + where + ")"

    return Predicate(label, probe, Source(rows), cost=2)


def missing(node: q.Missing, scope: Scope) -> Predicate:
    """Whether there is a row of any kind under the parameter, or under what belongs to it (`subject:identifier`)."""
    params = scope.values.params_below(scope.rows_of, node.param)
    found = [(table, param) for param in params for table in _TABLES if _any_row(scope, table, param)]
    present = any_of((_present(scope, table, param) for table, param in found), f"{node.param} present")
    return none_of(present) if node.missing else present


def _any_row(scope: Scope, table: str, param: int) -> bool:
    return scope.values.one(f"SELECT 1 FROM {table} WHERE param=? LIMIT 1", param) is not None


def _present(scope: Scope, table: str, param: int) -> Predicate:
    a = scope.alias()

    def probe(subject: Subject) -> Sql:
        return sql(
            f"EXISTS(SELECT 1 FROM {table} {a} INDEXED BY {table}_pid WHERE {a}.pid={subject.pid} AND {a}.param=?)",
            param,
        )

    source = Source(sql(f"SELECT {a}.pid AS pid FROM {table} {a} WHERE {a}.param=?", param))
    return Predicate(f"some {table} row", probe, source)


def ids(node: q.Ids, scope: Scope) -> Predicate:
    """Logical ids; of a contained resource its local id."""
    label = f"_id={shown(node.values)}"
    if scope.contained:
        return _local_ids(node, label)
    rids = scope.values.rids(scope.type, node.values)
    if not rids:
        return NEVER
    a = scope.alias()
    if scope.snapshot.live:
        rows = sql(f"SELECT {a}.pid AS pid FROM resource {a} WHERE {a}.pid IS NOT NULL AND {a}.rid") + one_of(rids)
        size: int | None = len(rids)
    else:
        rows, size = sql(f"SELECT {a}.pid AS pid FROM version {a} WHERE {a}.rid") + one_of(rids), None
    return Predicate(label, lambda s: sql(s.rid) + one_of(rids), Source(rows, indexed=False, size=size), cost=0)


def _local_ids(node: q.Ids, label: str) -> Predicate:
    wanted = joined([sql("?", value) for value in node.values], ",")
    return Predicate(
        label,
        lambda s: sql(f"(SELECT id FROM contained WHERE cid={s.pid}) IN (") + wanted + ")" if node.values else sql("0"),
    )


def full_text(node: q.FullText, scope: Scope) -> Predicate:
    """The versions that the text index finds."""
    if scope.contained:  # has no text of its own
        return ALWAYS if fts5_query(node.query, "content")[1] else NEVER
    if scope.match_text is None:
        return NEVER
    negated, pids = scope.match_text(node.content, node.query)
    label = f"{'_content' if node.content else '_text'}={node.query}"
    found = NEVER if not pids else _among(scope, pids, label)
    return none_of(found) if negated else found


def _among(scope: Scope, pids: Sequence[int], label: str) -> Predicate:
    a, array = scope.alias(), integers(pids)
    source = Source(sql(f"SELECT {a}.value AS pid FROM carray(?) {a}", array), indexed=False, size=len(pids))
    return Predicate(label, lambda s: sql(f"{s.pid} IN (SELECT value FROM carray(?))", array), source)
