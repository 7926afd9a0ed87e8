"""Strings: by their beginning through the key, by a part through the list of different texts where it is short."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from fhir_server.search import query as q
from fhir_server.search.folding import fold
from fhir_server.storage.sqlite.compile_scope import Scope
from fhir_server.storage.sqlite.compile_sql import (
    MERGED,
    NEVER,
    Predicate,
    Rows,
    Source,
    Sql,
    Walkable,
    both,
    sql,
    strings,
)

MANY_ROWS: Final = 5_000  # a parameter with fewer rows is read through
FEW_TEXTS: Final = 2_000  # different texts that are listed
MANY_VALUES: Final = 20  # more values than these are bound as one list

Compare = Callable[[str, str], Sql]

# Jumps from each text to the next greater one.
_DISTINCT: Final = """
WITH RECURSIVE d(text) AS (SELECT min(folded) FROM string WHERE param=?1 UNION ALL
  SELECT (SELECT min(folded) FROM string WHERE param=?2 AND folded>d.text) FROM d WHERE d.text IS NOT NULL)
SELECT text FROM d WHERE text IS NOT NULL LIMIT ?3
"""


def shown(values: Iterable[str]) -> str:
    """Return values as an explained plan shows them: the first five, and how many there are."""
    texts = list(values)
    return ",".join(texts[:5]) + (f",... ({len(texts)} values)" if len(texts) > 5 else "")


def first_of(table: str, key: Sequence[str], rest: str, a: str) -> str:
    """Return the condition that a row is the first of those with its key."""
    same = " AND ".join(f"o.{column}={a}.{column}" for column in key)
    return f" AND NOT EXISTS(SELECT 1 FROM {table} o WHERE {same} AND o.{rest}<{a}.{rest})"


def prefixed(column: str, prefix: str) -> Sql:
    """Return the condition that a text column starts with `prefix`, as a range of keys."""
    last = ord(prefix[-1]) + 1 if prefix else 0
    if not prefix or last > 0x10FFFF:
        return sql(f"{column}>=?", prefix)
    end = prefix[:-1] + chr(0xE000 if last == 0xD800 else last)
    return sql(f"{column}>=? AND {column}<?", prefix, end)


def string(node: q.String, scope: Scope) -> Predicate:
    """Folded text by its beginning, its end or a part of it, or the original text."""
    compare = STRINGS[node.mode]
    label = f"{node.param} {node.mode} {shown(node.values)}"
    if len(node.values) > MANY_VALUES:
        return _many(scope, node, label)
    return _strings(scope, node.param, compare, node.values, label)


def _many(scope: Scope, node: q.String, label: str) -> Predicate:
    """Compare with a list bound as one value: SQLite takes seconds to read a statement of thousands of alternatives."""
    param = scope.param(node.param)
    if param is None:
        return NEVER
    rows = Rows("string", scope.alias(), param)
    like = _MANY[node.mode].format(a=rows.a)
    where = sql(f"EXISTS(SELECT 1 FROM carray(?) k WHERE {like})", strings(node.values))
    if node.mode in (q.StringMode.EQUALS, q.StringMode.EXACT):
        texts = sql(f" AND {rows.a}.folded IN (SELECT value FROM carray(?))", strings(map(fold, node.values)))
        return rows.some(label, [(where, rows.filtered(rows.key + texts, where))])
    return rows.some(label, [(where, rows.filtered(rows.key, where))])


_MANY: Final = {
    q.StringMode.STARTS: "substr({a}.folded,1,length(k.value))=k.value",
    q.StringMode.CONTAINS: "instr({a}.folded,k.value)>0",
    q.StringMode.ENDS: "substr({a}.folded,-length(k.value))=k.value",
    q.StringMode.EQUALS: "{a}.folded=k.value",
    q.StringMode.EXACT: "{a}.original=k.value",
}


def _part(column: str, value: str) -> Sql:
    return sql(f"instr({column},?)>0", value) if value else sql("1")


def _exactly(column: str, value: str) -> Sql:
    original = column.replace(".folded", ".original")
    return sql(f"{column}=? AND {original}=?", fold(value), value)


def _end(column: str, value: str) -> Sql:
    return sql(f"substr({column},-?)=?", len(value), value) if value else sql("1")


def equal(column: str, value: str) -> Sql:
    """Return the condition that a column is this text."""
    return sql(f"{column}=?", value)


STRINGS = {
    q.StringMode.STARTS: prefixed,
    q.StringMode.CONTAINS: _part,
    q.StringMode.ENDS: _end,
    q.StringMode.EQUALS: equal,
    q.StringMode.EXACT: _exactly,
}


_BY_KEY: Final = (prefixed, equal, _exactly)


def _strings(scope: Scope, code: str, compare: Compare, values: Sequence[str], label: str) -> Predicate:
    param = scope.param(code)
    if param is None:
        return NEVER
    rows = Rows("string", scope.alias(), param)
    texts = None if compare in _BY_KEY else _distinct(scope, param)
    return rows.some(label, [_string(rows, compare, value, texts) for value in values])


def _string(rows: Rows, compare: Compare, value: str, texts: "_Texts | None") -> tuple[Sql, Source]:
    where = compare(f"{rows.a}.folded", value)
    if compare in _BY_KEY:
        return where, Source(f"SELECT {rows.a}.pid AS pid" + rows.key + " AND " + where)
    return where, rows.filtered(rows.key, where) if texts is None else _listed(rows, texts.like(compare, value))


@dataclass(frozen=True, slots=True)
class _Texts:
    """The different texts of a parameter."""

    scope: Scope
    texts: Sequence[str]

    def like(self, compare: Compare, value: str) -> list[str]:
        """Return those that match."""
        where = compare("k.value", value)
        query = f"SELECT k.value FROM carray(?) k WHERE {where.text}"
        return self.scope.values.column(query, strings(self.texts), *where.values)


def _distinct(scope: Scope, param: int) -> _Texts | None:
    """List the different texts, where there are many rows but few texts (the displays of codes)."""
    rows = Source(sql("SELECT 1 FROM string WHERE param=?", param))
    if scope.estimate(rows, MANY_ROWS) < MANY_ROWS:
        return None
    texts: list[str] = scope.values.column(_DISTINCT, param, param, FEW_TEXTS + 1)
    return None if len(texts) > FEW_TEXTS else _Texts(scope, texts)


def _listed(rows: Rows, texts: Sequence[str]) -> Source:
    a, select = rows.a, f"SELECT {rows.a}.pid AS pid" + rows.key
    if not texts:
        return Source(select + " AND 0", size=0)
    once = first_of("string", ("param", "folded", "pid"), "original", a)
    walks = tuple(Walkable(select + sql(f" AND {a}.folded=?{once}", text), f"{a}.pid") for text in texts[: MERGED + 1])
    listed = select + sql(f" AND {a}.folded IN (SELECT value FROM carray(?))", strings(texts))
    return Source(listed, walks if len(walks) <= MERGED else ())


def token_text(node: q.TokenText, scope: Scope) -> Predicate:
    """`:text`: each word begins a word of the display or text, which stands as a string `code:text`."""
    label = f"{node.param}:text={shown(node.values)}"
    return _strings(scope, f"{node.param}:text", _words, node.values, label)


def _words(column: str, value: str) -> Sql:
    return both([sql(f"instr(' '||{column},?)>0", f" {word}") for word in value.split()])
