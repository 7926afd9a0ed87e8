"""Search trees as queries of Elasticsearch.

A query finds all that matches, and perhaps more: `exact` tells whether it finds nothing else, which only what stands
under Not must. What is found is held against the tree itself by the engine before anybody hears of it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.search import query as q
from fhir_server.search.compare import Law, Test, date_law, number_law
from fhir_server.search.fulltext import AllOf, AnyOf, NoneOf, Phrase, TextQuery, parse_text
from fhir_server.storage.elasticsearch import terms
from fhir_server.storage.elasticsearch.document import finite
from fhir_server.storage.elasticsearch.terms import MARK, begins, field

Query = dict[str, Any]

_FEW: Final = 10_000
"""Values of one leaf that are asked for; of more the engine decides."""
_GRAMS: Final = 30
_LONG_WORD: Final = 200
_OPERATORS: Final = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
_WIDENED: Final = 1.005
_FURTHEST: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Clause:
    """What to ask (None: nothing is left out), and whether the answer is exactly what the tree means."""

    query: Query | None
    exact: bool = False


LOOSE: Final = Clause(None)
ALL: Final = Clause(None, exact=True)
NONE: Final = Clause({"match_none": {}}, exact=True)


def compiled(node: q.Node) -> Clause:
    """Return the query of a tree."""
    return _COMPILERS[type(node)](node)


def query_of(branches: Mapping[str, q.Node], txid: int) -> Query:
    """Return the query for the candidates of a search among what was current at a commit; types that ask the same are
    asked together. What could not be indexed is always one."""
    groups: dict[q.Node, list[str]] = {}
    for type_, node in branches.items():
        groups.setdefault(node, []).append(type_)
    alternatives = []
    for node, types in groups.items():
        part = compiled(node).query
        named: Query = {"terms": {"t": types}}
        either = [] if part is None else [_any([part, {"term": {"loose": True}}])]
        alternatives.append(_every([named, *either]))
    then = [{"range": {"x": {"lte": txid}}}, {"range": {"to": {"gt": txid}}}]
    return _every([_any(alternatives), *then])


def _every(parts: Sequence[Query]) -> Query:
    return parts[0] if len(parts) == 1 else {"bool": {"filter": list(parts)}}


def _any(parts: Sequence[Query]) -> Query:
    if not parts:
        return {"match_none": {}}
    return parts[0] if len(parts) == 1 else {"bool": {"should": list(parts), "minimum_should_match": 1}}


def _terms(name: str, values: Iterable[str], *, exact: bool = True) -> Clause:
    found = sorted(set(values))
    return Clause({"terms": {name: found}}, exact) if found else NONE


def _and(node: q.And) -> Clause:
    parts = [compiled(each) for each in node.nodes]
    queries = [part.query for part in parts if part.query is not None]
    return Clause(_every(queries) if queries else None, all(part.exact for part in parts))


def _or(node: q.Or) -> Clause:
    parts = [compiled(each) for each in node.nodes]
    exact = all(part.exact for part in parts)
    if any(part.query is None for part in parts):
        return Clause(None, exact)
    return Clause(_any([part.query for part in parts if part.query is not None]), exact)


def _not(node: q.Not) -> Clause:
    inner = compiled(node.node)
    if not inner.exact:
        return LOOSE
    return Clause({"bool": {"must_not": [inner.query]}}, exact=True) if inner.query is not None else NONE


def _token(node: q.Token) -> Clause:
    if any(value.system is None and value.code is None for value in node.values):
        return _terms("k", [terms.present(node.param)])
    if len(node.values) > _FEW:
        return _terms("k", [terms.present(node.param)], exact=False)
    return _terms("k", (_token_term(node.param, value) for value in node.values))


def _token_term(param: str, value: q.TokenValue) -> str:
    if value.code is None:
        return terms.system(param, value.system or "")
    return terms.code(param, value.code) if value.system is None else terms.full(param, value.system, value.code)


def _reference_identifier(node: q.ReferenceIdentifier) -> Clause:
    return _token(q.Token(f"{node.param}:identifier", node.values))


def _of_type(node: q.OfType) -> Clause:
    param = f"{node.param}:of-type"
    return _terms("k", (terms.full(param, f"{system}|{code}", value) for system, code, value in node.values))


def _token_text(node: q.TokenText) -> Clause:
    """Each word begins a word of the text; of one with several texts those of any."""
    param = f"{node.param}:text"
    return Clause(
        _any([_every([{"prefix": {"a": begins(param, word)}} for word in value.split()]) for value in node.values])
        if all(value.split() for value in node.values)
        else None
    )


def _string(node: q.String) -> Clause:
    match node.mode:
        case q.StringMode.EXACT:
            return _terms("k", (terms.exact(node.param, value) for value in node.values))
        case q.StringMode.STARTS:
            return Clause(_any([{"prefix": {"s": begins(node.param, value)}} for value in node.values]))
        case q.StringMode.EQUALS:
            return _terms("s", (begins(node.param, value) for value in node.values), exact=False)
    return Clause(_any([_within(node.param, value) for value in node.values]))


def _within(param: str, value: str) -> Query:
    """A text holds another if it holds its triples of letters, and perhaps otherwise."""
    size = min(len(value), 3)
    if size < 2:
        return {"term": {"k": terms.present(param)}}
    every = [value[at : at + size] for at in range(len(value) - size + 1)]
    chosen = every[:: max(1, len(every) // _GRAMS)][:_GRAMS]
    return _every([{"term": {"g": f"{param}{MARK}{gram}"}} for gram in dict.fromkeys(chosen)])


def _uri(node: q.Uri) -> Clause:
    if node.mode == q.StringMode.EXACT:
        return _terms("k", (terms.url(node.param, value) for value in node.values))
    if node.mode == q.StringMode.BELOW:
        return Clause(_any([{"prefix": {"y": begins(node.param, value)}} for value in node.values]))
    above = (terms.url(node.param, each) for value in node.values for each in _heads(value))
    return _terms("k", above, exact=False)


def _heads(uri: str) -> Iterable[str]:
    """Yield a URI and all above it."""
    yield uri
    for at, letter in enumerate(uri):
        if letter == "/":
            yield from (uri[:at], uri[: at + 1])


def _ranges(name: str, laws: Iterable[Law]) -> list[Query]:
    return [_every([_range(name, test) for test in tests]) for law in laws for tests in law]


def _range(name: str, test: Test) -> Query:
    column, operator, bound = test
    end = "l" if column == "low" else "h"
    value = max(-_FURTHEST, min(_FURTHEST, bound)) if isinstance(bound, int) else finite(bound)
    return {"range": {f"{name}.{end}": {_OPERATORS[operator]: value}}}


def _date(node: q.Date) -> Clause:
    return Clause(_any(_ranges(f"d.{field(node.param)}", map(date_law, node.values))))


def _number(node: q.Number) -> Clause:
    laws = map(number_law, node.values)
    return Clause(_any(_ranges(f"n.{field(node.param)}", laws)))


def _quantity(node: q.Quantity) -> Clause:
    found: list[Query] = []
    for value in node.values:
        found += _ranges(f"q.{field(node.param)}", [number_law(value.number)])
        if value.canonical is not None:
            number, unit = value.canonical
            same: Query = {"term": {"k": terms.unit(node.param, unit)}}
            found += [_every([same, each]) for each in _ranges(f"c.{field(node.param)}", [number_law(number)])]
    return Clause(_any(found))


def _reference(node: q.Reference) -> Clause:
    if len(node.values) > _FEW:
        return _terms("k", [terms.present(node.param)], exact=False)
    exact = all(value.version is None and (value.type or value.url) for value in node.values)
    return _terms("k", (_reference_term(node.param, value) for value in node.values), exact=exact)


def _reference_term(param: str, value: q.ReferenceValue) -> str:
    if value.url is not None:
        return terms.url(param, value.url)
    if value.type is not None:
        return terms.reference(param, value.type, value.id or "")
    return terms.local(param, value.id or "")


def _composite(node: q.Composite) -> Clause:
    return _terms("k", [terms.present(node.param)], exact=False)


def _near(node: q.Near) -> Clause:
    if abs(node.latitude) > 90 or abs(node.longitude) > 180:
        return _terms("k", [terms.present(node.param)], exact=False)
    place = {"lat": node.latitude, "lon": node.longitude}
    within = {"distance": f"{node.meters * _WIDENED + 10:.1f}m", f"p.{field(node.param)}": place}
    return Clause({"geo_distance": {**within, "ignore_unmapped": True}})


def _missing(node: q.Missing) -> Clause:
    there: Query = {"term": {"k": terms.present(node.param)}}
    return Clause({"bool": {"must_not": [there]}} if node.missing else there, exact=True)


def _ids(node: q.Ids) -> Clause:
    return _terms("i", node.values) if len(node.values) <= _FEW else LOOSE


def _among(node: q.Among) -> Clause:
    ids = node.ids.ids
    if not node.param:
        named: Query = {"term": {"t": node.type}}
        return Clause(named) if len(ids) > _FEW else Clause(_every([named, {"terms": {"i": sorted(ids)}}]), exact=True)
    if len(ids) > _FEW:
        return _terms("k", [terms.present(node.param)], exact=False)
    return _terms("k", (terms.reference(node.param, node.type, id_) for id_ in ids))


def _last_updated(node: q.LastUpdated) -> Clause:
    """`u` is in milliseconds and stands for the interval [u, u + 1 ms)."""
    found = []
    for value in node.values:
        for tests in date_law(value):
            found.append(_every([_instant(test) for test in tests]))
    return Clause(_any(found))


def _instant(test: Test) -> Query:
    """Bounds are widened by a millisecond: the engine decides."""
    column, operator, bound = test
    at = int(bound // 1000) - (0 if column == "low" else 1)
    above = operator in (">", ">=")
    return {"range": {"u": {"gte" if above else "lte": max(-_FURTHEST, min(_FURTHEST, at + (-1 if above else 1)))}}}


def _full_text(node: q.FullText) -> Clause:
    return Clause(_text("w" if node.content else "v", parse_text(node.query)))


def _text(name: str, wanted: TextQuery) -> Query | None:
    if isinstance(wanted, NoneOf):
        return None
    if isinstance(wanted, Phrase):
        return _phrase(name, wanted)
    parts = [_text(name, part) for part in wanted.parts]
    found = [part for part in parts if part is not None]
    if isinstance(wanted, AllOf):
        return _every(found) if found else None
    assert isinstance(wanted, AnyOf)
    return _any(found) if len(found) == len(parts) else None


def _phrase(name: str, phrase: Phrase) -> Query | None:
    """Words that the tokenizer would cut are left to the engine; so is that a prefix stands behind its phrase."""
    *before, last = phrase.words
    if any(len(word) > _LONG_WORD for word in phrase.words):
        return None
    if not phrase.prefix:
        return {"match_phrase": {name: " ".join(phrase.words)}} if before else {"term": {name: last}}
    return _every([*([{"match_phrase": {name: " ".join(before)}}] if before else []), {"prefix": {name: last}}])


def _loose(_: Any) -> Clause:
    return LOOSE


_COMPILERS: Mapping[type, Callable[[Any], Clause]] = {
    q.And: _and, q.Or: _or, q.Not: _not, q.Chain: _loose, q.Has: _loose,
    q.Token: _token, q.TokenText: _token_text, q.OfType: _of_type, q.String: _string, q.Uri: _uri,
    q.Date: _date, q.Number: _number, q.Quantity: _quantity, q.Reference: _reference,
    q.ReferenceIdentifier: _reference_identifier, q.Composite: _composite, q.Near: _near,
    q.Missing: _missing, q.Ids: _ids, q.Among: _among, q.LastUpdated: _last_updated, q.FullText: _full_text,
}  # fmt: skip
