"""Strings: by their beginning through the key, by a part through the list of different texts where it is short."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from fhir_server.search import query as q
from fhir_server.search.folding import fold
from fhir_server.storage.sqlite.compile_scope import Scope
from fhir_server.storage.sqlite.compile_sql import (
    MERGED,
    NEVER,
    Predicate,
    Source,
    Sql,
    Subject,
    Walkable,
    any_of,
    both,
    filtered,
    sql,
    strings,
)

MANY_ROWS: Final = 5_000  # a parameter with fewer rows is read through
FEW_TEXTS: Final = 2_000  # different texts that are listed

Compare = Callable[[str, str], Sql]

# Jumps from each text to the next greater one.
_DISTINCT: Final = """
WITH RECURSIVE d(text) AS (SELECT min(folded) FROM string WHERE param=?1 UNION ALL
  SELECT (SELECT min(folded) FROM string WHERE param=?2 AND folded>d.text) FROM d WHERE d.text IS NOT NULL)
SELECT text FROM d WHERE text IS NOT NULL LIMIT ?3
"""


def shown(values: Iterable[str]) -> str:
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
    """Folded text by its beginning or a part of it, or the original text."""
    compare = STRINGS[node.mode]
    label = f"{node.param} {node.mode} {shown(node.values)}"
    return any_of((_strings(scope, node.param, compare, value, label) for value in node.values), label)


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


def _strings(scope: Scope, code: str, compare: Compare, value: str, label: str) -> Predicate:
    param, a = scope.param(code), scope.alias()
    if param is None:
        return NEVER
    where = compare(f"{a}.folded", value)

    def probe(subject: Subject) -> Sql:
        head = f"EXISTS(SELECT 1 FROM string {a} INDEXED BY string_pid WHERE {a}.pid={subject.pid} AND {a}.param=?"
        return sql(f"{head} AND ", param) + where + ")"

    rows = sql(f" FROM string {a} WHERE {a}.param=?", param)
    if compare in _BY_KEY:
        return Predicate(label, probe, Source(f"SELECT {a}.pid AS pid" + rows + " AND " + where))
    texts = _few_texts(scope, param, compare, value)
    return Predicate(label, probe, filtered(a, rows, where) if texts is None else _listed(rows, a, texts))


def _few_texts(scope: Scope, param: int, compare: Compare, value: str) -> list[str] | None:
    """Return the different texts that match, where there are many rows but few texts (the displays of codes)."""
    rows = Source(sql("SELECT 1 FROM string WHERE param=?", param))
    if scope.estimate(rows, MANY_ROWS) < MANY_ROWS:
        return None
    texts: list[str] = scope.values.column(_DISTINCT, param, param, FEW_TEXTS + 1)
    if len(texts) > FEW_TEXTS:
        return None
    where = compare("k.value", value)
    return scope.values.column(f"SELECT k.value FROM carray(?) k WHERE {where.text}", strings(texts), *where.values)


def _listed(rows: Sql, a: str, texts: Sequence[str]) -> Source:
    rows = f"SELECT {a}.pid AS pid" + rows + " AND "
    if not texts:
        return Source(rows + "0", size=0)
    first = first_of("string", ("param", "folded", "pid"), "original", a)
    walks = tuple(Walkable(rows + sql(f"{a}.folded=?{first}", text), f"{a}.pid") for text in texts[: MERGED + 1])
    select = rows + f"{a}.folded IN (SELECT value FROM carray(?))"
    return Source(select + Sql("", (strings(texts),)), walks if len(walks) <= MERGED else ())


def token_text(node: q.TokenText, scope: Scope) -> Predicate:
    """`:text`: each word begins a word of the display or text, which stands as a string `code:text`."""
    label = f"{node.param}:text={shown(node.values)}"
    parts = (_strings(scope, f"{node.param}:text", _words, value, label) for value in node.values)
    return any_of(parts, label)


def _words(column: str, value: str) -> Sql:
    return both([sql(f"instr(' '||{column},?)>0", f" {word}") for word in value.split()])
