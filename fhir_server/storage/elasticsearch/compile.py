"""Search trees as queries of Elasticsearch.

A query finds all that matches, and perhaps more: `exact` tells whether it finds nothing else, which only what stands
under Not must. What is found is held against the tree itself by the engine before anybody hears of it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from fhir_server.search import query as q
from fhir_server.search.fulltext import AllOf, AnyOf, NoneOf, Phrase, TextQuery, parse_text
from fhir_server.storage.elasticsearch import compile_ranges as ranges
from fhir_server.storage.elasticsearch import terms
from fhir_server.storage.elasticsearch.clauses import LOOSE, NONE, Clause, Query, among, any_of, every
from fhir_server.storage.elasticsearch.terms import LONGEST, MARK, begins

_FEW: Final = 10_000
"""Values of one leaf that are asked for; of more the engine decides."""
_GRAMS: Final = 30
_LONG_WORD: Final = 200


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
        either = [] if part is None else [any_of([part, {"term": {"loose": True}}])]
        alternatives.append(every([named, *either]))
    then = [{"range": {"x": {"lte": txid}}}, {"range": {"to": {"gt": txid}}}]
    return every([any_of(alternatives), *then])


def _and(node: q.And) -> Clause:
    parts = [compiled(each) for each in node.nodes]
    queries = [part.query for part in parts if part.query is not None]
    return Clause(every(queries) if queries else None, all(part.exact for part in parts), _single(parts))


def _or(node: q.Or) -> Clause:
    parts = [compiled(each) for each in node.nodes]
    exact = all(part.exact for part in parts)
    if any(part.query is None for part in parts):
        return Clause(None, exact, _single(parts))
    return Clause(any_of([part.query for part in parts if part.query is not None]), exact, _single(parts))


def _single(parts: Iterable[Clause]) -> frozenset[str]:
    return frozenset(name for part in parts for name in part.single)


def _not(node: q.Not) -> Clause:
    inner = compiled(node.node)
    if not inner.exact or inner.single:
        return LOOSE
    return Clause({"bool": {"must_not": [inner.query]}}, exact=True) if inner.query is not None else NONE


def _token(node: q.Token) -> Clause:
    if any(value.system is None and value.code is None for value in node.values):
        return among("k", [terms.present(node.param)])
    if len(node.values) > _FEW:
        return among("k", [terms.present(node.param)], exact=False)
    return among("k", (_token_term(node.param, value) for value in node.values))


def _token_term(param: str, value: q.TokenValue) -> str:
    if value.code is None:
        return terms.system(param, value.system or "")
    return terms.code(param, value.code) if value.system is None else terms.full(param, value.system, value.code)


def _reference_identifier(node: q.ReferenceIdentifier) -> Clause:
    return _token(q.Token(f"{node.param}:identifier", node.values))


def _of_type(node: q.OfType) -> Clause:
    param = f"{node.param}:of-type"
    return among("k", (terms.full(param, f"{system}|{code}", value) for system, code, value in node.values))


def _token_text(node: q.TokenText) -> Clause:
    """Each word begins a word of the text; of one with several texts those of any."""
    param = f"{node.param}:text"
    return Clause(
        any_of([every([{"prefix": {"a": begins(param, word)}} for word in value.split()]) for value in node.values])
        if all(value.split() for value in node.values)
        else None
    )


def _string(node: q.String) -> Clause:
    match node.mode:
        case q.StringMode.EXACT:
            return among("k", (terms.exact(node.param, value) for value in node.values))
        case q.StringMode.STARTS:
            short = all(len(value) <= LONGEST for value in node.values)
            return Clause(any_of([{"prefix": {"s": begins(node.param, value)}} for value in node.values]), exact=short)
        case q.StringMode.EQUALS:
            return among("s", (begins(node.param, value) for value in node.values), exact=False)
    return Clause(any_of([_within(node.param, value) for value in node.values]))


def _within(param: str, value: str) -> Query:
    """A text holds another if it holds its triples of letters, and perhaps otherwise."""
    size = min(len(value), 3)
    if size < 2:
        return {"term": {"k": terms.present(param)}}
    grams = [value[at : at + size] for at in range(len(value) - size + 1)]
    chosen = grams[:: max(1, len(grams) // _GRAMS)][:_GRAMS]
    return every([{"term": {"g": f"{param}{MARK}{gram}"}} for gram in dict.fromkeys(chosen)])


def _uri(node: q.Uri) -> Clause:
    if node.mode == q.StringMode.EXACT:
        return among("k", (terms.url(node.param, value) for value in node.values))
    if node.mode == q.StringMode.BELOW:
        return Clause(any_of([{"prefix": {"y": begins(node.param, value)}} for value in node.values]))
    above = (terms.url(node.param, each) for value in node.values for each in _heads(value))
    return among("k", above, exact=False)


def _heads(uri: str) -> Iterable[str]:
    """Yield a URI and all above it."""
    yield uri
    for at, letter in enumerate(uri):
        if letter == "/":
            yield from (uri[:at], uri[: at + 1])


def _reference(node: q.Reference) -> Clause:
    if len(node.values) > _FEW:
        return among("k", [terms.present(node.param)], exact=False)
    exact = all(value.version is None and (value.type or value.url) for value in node.values)
    return among("k", (_reference_term(node.param, value) for value in node.values), exact=exact)


def _reference_term(param: str, value: q.ReferenceValue) -> str:
    if value.url is not None:
        return terms.url(param, value.url)
    if value.type is not None:
        return terms.reference(param, value.type, value.id or "")
    return terms.local(param, value.id or "")


def _composite(node: q.Composite) -> Clause:
    return among("k", [terms.present(node.param)], exact=False)


def _missing(node: q.Missing) -> Clause:
    there: Query = {"term": {"k": terms.present(node.param)}}
    return Clause({"bool": {"must_not": [there]}} if node.missing else there, exact=True)


def _ids(node: q.Ids) -> Clause:
    return among("i", node.values) if len(node.values) <= _FEW else LOOSE


def _belongs(node: q.Among) -> Clause:
    ids = node.ids.ids
    if not node.param:
        named: Query = {"term": {"t": node.type}}
        return Clause(named) if len(ids) > _FEW else Clause(every([named, {"terms": {"i": sorted(ids)}}]), exact=True)
    if len(ids) > _FEW:
        return among("k", [terms.present(node.param)], exact=False)
    return among("k", (terms.reference(node.param, node.type, id_) for id_ in ids))


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
        return every(found) if found else None
    assert isinstance(wanted, AnyOf)
    return any_of(found) if len(found) == len(parts) else None


def _phrase(name: str, phrase: Phrase) -> Query | None:
    """Words that the tokenizer would cut are left to the engine; so is that a prefix stands behind its phrase."""
    *before, last = phrase.words
    if any(len(word) > _LONG_WORD for word in phrase.words):
        return None
    if not phrase.prefix:
        return {"match_phrase": {name: " ".join(phrase.words)}} if before else {"term": {name: last}}
    return every([*([{"match_phrase": {name: " ".join(before)}}] if before else []), {"prefix": {name: last}}])


def _loose(_: Any) -> Clause:
    return LOOSE


_COMPILERS: Mapping[type, Callable[[Any], Clause]] = {
    q.And: _and, q.Or: _or, q.Not: _not, q.Chain: _loose, q.Has: _loose,
    q.Token: _token, q.TokenText: _token_text, q.OfType: _of_type, q.String: _string, q.Uri: _uri,
    q.Date: ranges.date, q.Number: ranges.number, q.Quantity: ranges.quantity, q.Reference: _reference,
    q.ReferenceIdentifier: _reference_identifier, q.Composite: _composite, q.Near: ranges.near,
    q.Missing: _missing, q.Ids: _ids, q.Among: _belongs, q.LastUpdated: ranges.last_updated, q.FullText: _full_text,
}  # fmt: skip
