"""From the full-text language of `search/fulltext` to FTS5 queries.

Every word is folded and quoted, so nothing that a user writes is FTS5 syntax. FTS5 knows only "this but not that"; a
query that is negative as a whole ("not this") becomes its positive side and a flag.
"""

from collections.abc import Sequence

from fhir_server.search.fulltext import AllOf, NoneOf, Phrase, TextQuery, parse_text


def fts5_query(query: str, column: str) -> tuple[str, bool]:
    """Return the FTS5 query on one column, and whether what it finds is to be left out instead.

    Raises:
        ValueError: `query` has no word in it or is not closed.
    """
    expression, negated = _expression(parse_text(query))
    return f"{column} : ({expression})", negated


def _expression(query: TextQuery) -> tuple[str, bool]:
    if isinstance(query, Phrase):
        return f'"{" ".join(query.words)}"{" *" if query.prefix else ""}', False
    if isinstance(query, NoneOf):
        expression, negated = _expression(query.part)
        return expression, not negated
    parts = [_expression(part) for part in query.parts]
    positive = [expression for expression, negated in parts if not negated]
    negative = [expression for expression, negated in parts if negated]
    return _all_of(positive, negative) if isinstance(query, AllOf) else _any_of(positive, negative)


def _all_of(positive: Sequence[str], negative: Sequence[str]) -> tuple[str, bool]:
    if not positive:
        return _joined(negative, "OR"), True
    wanted = _joined(positive, "AND")
    return (f"({wanted} NOT {_joined(negative, 'OR')})" if negative else wanted), False


def _any_of(positive: Sequence[str], negative: Sequence[str]) -> tuple[str, bool]:
    """`a OR NOT b` is not (b and not a)."""
    if not negative:
        return _joined(positive, "OR"), False
    unwanted = _joined(negative, "AND")
    return (f"({unwanted} NOT {_joined(positive, 'OR')})" if positive else unwanted), True


def _joined(parts: Sequence[str], operator: str) -> str:
    return f"({f' {operator} '.join(parts)})"
