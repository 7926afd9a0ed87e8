"""Search trees as MongoDB filters.

A filter finds all that matches, and perhaps more: `exact` tells whether it finds nothing else. What is found is held
against the tree itself (`search/match`) before it is shown; a filter that is exact may also be counted by the server.
Chains are looked up before (`resolve`), so none reaches this module.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import cos, radians
from typing import Any, Final

from fhir_server.search import query as q
from fhir_server.search.compare import Law, Test, date_law, number_law
from fhir_server.storage.mongodb.document import MARK, finite
from fhir_server.storage.mongodb.keys import Keys

_SPECIAL: Final = re.compile(r"[.^$*+?()\[\]{}|\\]")
_ESCAPED: Final = r"\\\g<0>"
_FEW: Final = 2_000
"""Ids of a set that are put into a filter; of more the entries decide."""
_MANY: Final = 20_000
"""Keys that are asked for at once: a command has 16 MB at most, and each key is a range of the index."""
_MANY_TEXTS: Final = 500
_LONG: Final = 4_000
"""Of a pattern: PCRE2 takes some 32,000 characters, escapes counted, and none that is NUL."""
_OPERATORS: Final = {"<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}
_METERS_OF_DEGREE: Final = 111_000.0


@dataclass(frozen=True, slots=True)
class Filter:
    """What to ask the server, and whether the answer is exactly what the tree means."""

    match: dict[str, Any]
    exact: bool = True


ALL: Final = Filter({})
LOOSE: Final = Filter({}, exact=False)
NONE: Final = Filter({"_id": {"$in": []}})


@dataclass(frozen=True, slots=True)
class Compiler:
    """Makes filters for one store. `nested`: the server can ask several things of one element of an array."""

    keys: Keys
    nested: bool = True

    def compile(self, node: q.Node) -> Filter:
        """Return the filter of a tree."""
        return _COMPILERS[type(node)](self, node)

    def any_key(self, keys: Iterable[int], param: str = "") -> Filter:
        """Return the filter for any of several keys; of very many the parameter alone is asked for."""
        found = sorted(set(keys))
        if param and len(found) > _MANY:
            return Filter({"k": self.keys.present(param)}, exact=False)
        return Filter({"k": found[0]} if len(found) == 1 else {"k": {"$in": found}}) if found else NONE

    def element(self, field: str, alternatives: Sequence[dict[str, Any]], param: str, *, exact: bool = True) -> Filter:
        """Return the filter for an element of an array of which one of the alternatives holds."""
        if not self.nested:
            return Filter({"k": self.keys.present(param)}, exact=False)
        found = _either([{field: {"$elemMatch": {"p": param, **each}}} for each in alternatives], exact=exact)
        # In so many words, for some of these indexes hold only documents that have the field.
        return Filter({"$and": [{field: {"$exists": True}}, found.match]}, exact) if alternatives else NONE


def _either(matches: Sequence[dict[str, Any]], *, exact: bool) -> Filter:
    return Filter(matches[0] if len(matches) == 1 else {"$or": list(matches)}, exact) if matches else NONE


def keys_of_any(matches: Sequence[dict[str, Any]]) -> list[int]:
    """Return keys of which whatever one of some filters finds has one; none where a filter asks for no key."""
    each = [_keys_of(match) for match in matches]
    found = sorted({key for keys in each for key in keys})
    return found if all(each) and len(found) <= _MANY else []


def _keys_of(match: dict[str, Any]) -> Sequence[int]:
    asked = match.get("k")
    if isinstance(asked, int):
        return (asked,)
    if isinstance(asked, dict):
        return tuple(asked.get("$in", ()))
    return next(filter(None, map(_keys_of, match.get("$and", ()))), ())


def _and(compiler: Compiler, node: q.And) -> Filter:
    parts = [compiler.compile(each) for each in node.nodes]
    matches = [part.match for part in parts if part.match]
    exact = all(part.exact for part in parts)
    return Filter(matches[0] if len(matches) == 1 else {"$and": matches} if matches else {}, exact)


def _or(compiler: Compiler, node: q.Or) -> Filter:
    parts = [compiler.compile(each) for each in node.nodes]
    exact = all(part.exact for part in parts)
    if any(not part.match for part in parts):
        return Filter({}, exact)
    keys = keys_of_any([part.match for part in parts])
    if keys and all(len(part.match) == 1 and "k" in part.match for part in parts):
        return Filter({"k": {"$in": keys}}, exact)
    return _either([part.match for part in parts], exact=exact)


def _not(compiler: Compiler, node: q.Not) -> Filter:
    inner = compiler.compile(node.node)
    if not inner.exact:
        return LOOSE
    return Filter({"$nor": [inner.match]}) if inner.match else NONE


def _token_key(keys: Keys, param: str, value: q.TokenValue) -> int:
    if value.code is None:
        return keys.system(param, value.system or "")
    return keys.code(param, value.code) if value.system is None else keys.full(param, value.system, value.code)


def _token(compiler: Compiler, node: q.Token) -> Filter:
    present = [value for value in node.values if value.system is None and value.code is None]
    if present:
        return compiler.any_key([compiler.keys.present(node.param)])
    return compiler.any_key((_token_key(compiler.keys, node.param, value) for value in node.values), node.param)


def _reference_identifier(compiler: Compiler, node: q.ReferenceIdentifier) -> Filter:
    return _token(compiler, q.Token(f"{node.param}:identifier", node.values))


def _of_type(compiler: Compiler, node: q.OfType) -> Filter:
    param, keys = f"{node.param}:of-type", compiler.keys
    return compiler.any_key(keys.full(param, f"{system}|{code}", value) for system, code, value in node.values)


def _token_text(compiler: Compiler, node: q.TokenText) -> Filter:
    return Filter({"k": compiler.keys.present(f"{node.param}:text")}, exact=False)


def prefix(text: str) -> dict[str, Any]:
    """Return the condition that a string begins with a text; the server finds it in an index."""
    return {"$regex": f"^{_SPECIAL.sub(_ESCAPED, text)}"}


def _string(compiler: Compiler, node: q.String) -> Filter:
    head = f"{node.param}{MARK}"
    if len(node.values) > _MANY_TEXTS or any(len(value) > _LONG or "\0" in value for value in node.values):
        return Filter({"k": compiler.keys.present(node.param)}, exact=False)
    match node.mode:
        case q.StringMode.STARTS:
            return _either([{"s": prefix(f"{head}{value}")} for value in node.values], exact=True)
        case q.StringMode.EQUALS:
            return Filter({"s": {"$in": [f"{head}{value}" for value in node.values]}})
        case q.StringMode.EXACT:
            return Filter({"k": compiler.keys.present(node.param)}, exact=False)
    end = "$" if node.mode == q.StringMode.ENDS else ""
    within = [_SPECIAL.sub(_ESCAPED, value) for value in node.values]
    return _either(
        [{"s": {"$regex": f"{prefix(head)['$regex']}[\\s\\S]*{value}{end}"}} for value in within], exact=False
    )


def _uri(compiler: Compiler, node: q.Uri) -> Filter:
    if node.mode == q.StringMode.EXACT:
        return compiler.any_key((compiler.keys.url(node.param, value) for value in node.values), node.param)
    return Filter({"k": compiler.keys.present(node.param)}, exact=False)


def _tests(tests: Iterable[Test], low: str, high: str) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    for column, operator, bound in tests:
        asked.setdefault(low if column == "low" else high, {})[_OPERATORS[operator]] = finite(bound)
    return asked


def _ranges(laws: Iterable[Law], low: str = "l", high: str = "h") -> list[dict[str, Any]]:
    return [_tests(tests, low, high) for law in laws for tests in law]


def _date(compiler: Compiler, node: q.Date) -> Filter:
    return compiler.element("d", _ranges(map(date_law, node.values)), node.param)


def _number(compiler: Compiler, node: q.Number) -> Filter:
    return compiler.element("n", _ranges(map(number_law, node.values)), node.param)


def _quantity(compiler: Compiler, node: q.Quantity) -> Filter:
    """In UCUM base units where both sides have them, else as stated, in the same unit."""
    alternatives: list[dict[str, Any]] = []
    for value in node.values:
        stated: dict[str, Any] = {name: asked for name, asked in (("c", value.code), ("s", value.system)) if asked}
        if value.canonical is not None:
            number, unit = value.canonical
            alternatives += [{"cu": unit, **tests} for tests in _ranges([number_law(number)], "cl", "ch")]
            stated["cu"] = {"$exists": False}
        alternatives += [stated | tests for tests in _ranges([number_law(value.number)])]
    return compiler.element("q", alternatives, node.param)


def _reference(compiler: Compiler, node: q.Reference) -> Filter:
    keys = [key for value in node.values for key in _reference_keys(compiler.keys, node, value)]
    exact = all(value.version is None and (value.type or value.url or not node.targets) for value in node.values)
    found = compiler.any_key(keys, node.param)
    return Filter(found.match, exact and found.exact)


def _reference_keys(keys: Keys, node: q.Reference, value: q.ReferenceValue) -> list[int]:
    if value.url is not None:
        return [keys.url(node.param, value.url)]
    if value.type is not None:
        return [keys.reference(node.param, value.type, value.id or "")]
    return [keys.local(node.param, value.id or "")]


def _composite(compiler: Compiler, node: q.Composite) -> Filter:
    return Filter({"k": compiler.keys.present(node.param)}, exact=False)


def _near(compiler: Compiler, node: q.Near) -> Filter:
    """A box around the circle; where it would cross a pole or the date line, the entries alone decide."""
    north = node.meters / _METERS_OF_DEGREE + 0.01
    if abs(node.latitude) + north > 89:
        return Filter({"k": compiler.keys.present(node.param)}, exact=False)
    east = north / cos(radians(abs(node.latitude) + north))
    if abs(node.longitude) + east > 180:
        return Filter({"k": compiler.keys.present(node.param)}, exact=False)
    box = {
        "a": {"$gte": node.latitude - north, "$lte": node.latitude + north},
        "o": {"$gte": node.longitude - east, "$lte": node.longitude + east},
    }
    return compiler.element("g", [box], node.param, exact=False)


def _missing(compiler: Compiler, node: q.Missing) -> Filter:
    present = compiler.keys.present(node.param)
    return Filter({"k": {"$ne": present}} if node.missing else {"k": present})


def _ids(_: Compiler, node: q.Ids) -> Filter:
    return Filter({"i": node.values[0]} if len(node.values) == 1 else {"i": {"$in": list(node.values)}})


def _among(compiler: Compiler, node: q.Among) -> Filter:
    ids = node.ids.ids
    if not node.param:
        if len(ids) > _FEW:
            return Filter({"t": node.type}, exact=False)
        return Filter({"t": node.type, "i": {"$in": sorted(ids)}})
    if len(ids) > _FEW:
        return Filter({"k": compiler.keys.present(node.param)}, exact=False)
    return compiler.any_key(compiler.keys.reference(node.param, node.type, id_) for id_ in ids)


def _last_updated(_: Compiler, node: q.LastUpdated) -> Filter:
    """`u` is in milliseconds and stands for the interval [u, u + 1 ms)."""
    matches = [_instant(tests) for value in node.values for tests in date_law(value)]
    return _either(matches, exact=True)


def _instant(tests: Iterable[Test]) -> dict[str, Any]:
    parts = []
    for column, operator, bound in tests:
        at = bound / 1000 if column == "low" else bound / 1000 - 1
        parts.append({"u": {_OPERATORS[operator]: at}})
    return parts[0] if len(parts) == 1 else {"$and": parts}


def _loose(_: Compiler, __: Any) -> Filter:
    return LOOSE


def _local_chain(compiler: Compiler, node: q.Chain) -> Filter:
    """What is left of a chain once it was looked up: references to resources that the subject contains."""
    return Filter({"c": node.target, "k": compiler.keys.present(node.param)}, exact=False)


_COMPILERS: dict[type, Callable[[Compiler, Any], Filter]] = {
    q.And: _and, q.Or: _or, q.Not: _not, q.Chain: _local_chain, q.Has: _loose,
    q.Token: _token, q.TokenText: _token_text, q.OfType: _of_type, q.String: _string, q.Uri: _uri,
    q.Date: _date, q.Number: _number, q.Quantity: _quantity, q.Reference: _reference,
    q.ReferenceIdentifier: _reference_identifier, q.Composite: _composite, q.Near: _near,
    q.Missing: _missing, q.Ids: _ids, q.Among: _among, q.LastUpdated: _last_updated, q.FullText: _loose,
}  # fmt: skip
