"""The language of `_filter`, parsed to the neutral tree.

Grammar, as published: tests `path op value`, joined by `and` and `or` (evaluated from left to right, neither binds
closer), `not(...)` and parentheses; a path is a search parameter, chained by dots, where `[...]` behind a reference
holds a filter on its target.

Spec: https://hl7.org/fhir/R4/search_filter.html
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from fhir_server.errors import BadValue, TooCostly, UnknownParameter
from fhir_server.search import query as q
from fhir_server.search.asked import Asked, ValueReader, bad
from fhir_server.search.chains import Names
from fhir_server.search.parse_values import read_values
from fhir_server.search.values import fold

_LEXEME = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<mark>[()\[\]])|(?P<word>[^\s()\[\]"]+))""",
    re.VERBOSE,
)
_PATH = re.compile(r"_has:[A-Za-z]+:[A-Za-z0-9_\-]+:[A-Za-z0-9_:\-.]+|[A-Za-z_][A-Za-z0-9_\-]*(:[A-Za-z]+)?", re.ASCII)
_ORDERED = frozenset({"gt", "lt", "ge", "le", "ap", "sa", "eb"})
_HAVE_ORDER = frozenset({"date", "number", "quantity", "instant"})
_TEXT_MODES = {
    "eq": q.StringMode.EQUALS,
    "co": q.StringMode.CONTAINS,
    "sw": q.StringMode.STARTS,
    "ew": q.StringMode.ENDS,
}
_MODIFIERS = {"ss": "above", "sb": "below", "in": "in", "ni": "not-in"}
_OPERATORS = frozenset({"eq", "ne", "pr", "po", "re", *_TEXT_MODES, *_ORDERED, *_MODIFIERS})
_SYSTEMS = {
    "loinc": "http://loinc.org",
    "snomed": "http://snomed.info/sct",
    "rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "ucum": "http://unitsofmeasure.org",
}
_MAX_DEPTH = 20
_MAX_TURNS = 30


@dataclass(frozen=True, slots=True)
class Lexeme:
    """One word, mark or string of a filter, and where it begins."""

    kind: str
    text: str
    at: int
    glued: bool


def parse_filter(text: str, type_: str, names: Names, reader: ValueReader) -> q.Node:
    """Parse the value of `_filter` for resources of one type.

    Raises:
        BadValue: it does not follow the grammar; says where.
        UnknownParameter: a parameter or operator is not known.
        TooCostly: too deep or too long.
    """
    return _Parser(text, _lexemes(text), names, reader).whole(type_)


def _lexemes(text: str) -> list[Lexeme]:
    found, at = [], 0
    while at < len(text.rstrip()):
        match = _LEXEME.match(text, at)
        if match is None or match.lastgroup is None:
            raise _fault(text, at, "a quotation mark is not closed")
        start = match.start(match.lastgroup)
        found.append(Lexeme(match.lastgroup, match[match.lastgroup], start, glued=start == at and at > 0))
        at = match.end()
    return found


def _fault(text: str, at: int, reason: str) -> BadValue:
    return BadValue(f"bad _filter at character {at + 1} ({text[at : at + 30]!r}): {reason}", expression="http._filter")


class _Parser:
    """Recursive descent over the lexemes; `_at` is the next."""

    def __init__(self, text: str, lexemes: list[Lexeme], names: Names, reader: ValueReader) -> None:
        self._text, self._lexemes, self._names, self._reader = text, lexemes, names, reader
        self._at = self._depth = self._tests = self._turns = 0

    def whole(self, type_: str) -> q.Node:
        node = self._filter(type_)
        if self._at < len(self._lexemes):
            raise self._fault("expected `and`, `or` or the end")
        return node

    def _fault(self, reason: str) -> BadValue:
        at = self._lexemes[self._at].at if self._at < len(self._lexemes) else len(self._text)
        return _fault(self._text, at, reason)

    def _peek(self, *texts: str) -> bool:
        next_ = self._lexemes[self._at] if self._at < len(self._lexemes) else None
        return next_ is not None and next_.kind != "string" and next_.text in texts

    def _take(self, reason: str) -> Lexeme:
        if self._at == len(self._lexemes):
            raise self._fault(reason)
        self._at += 1
        return self._lexemes[self._at - 1]

    def _expect(self, text: str) -> None:
        if not self._peek(text):
            raise self._fault(f"expected `{text}`")
        self._at += 1

    def _filter(self, type_: str) -> q.Node:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise TooCostly(f"_filter is nested deeper than {_MAX_DEPTH} levels", expression="http._filter")
        node = self._term(type_)
        joined = ""
        while self._peek("and", "or"):
            join = self._take("").text
            node = _joined(node, join, self._term(type_), again=join == joined)
            if join != joined:
                self._turns += 1
            if self._turns > _MAX_TURNS:
                raise TooCostly(
                    f"_filter turns from `and` to `or` more than {_MAX_TURNS} times", expression="http._filter"
                )
            joined = join
        self._depth -= 1
        return node

    def _term(self, type_: str) -> q.Node:
        if self._peek("not"):
            self._at += 1
            return q.Not(self._bracketed(type_))
        if self._peek("("):
            return self._bracketed(type_)
        return self._test(type_)

    def _bracketed(self, type_: str) -> q.Node:
        self._expect("(")
        node = self._filter(type_)
        self._expect(")")
        return node

    def _test(self, type_: str) -> q.Node:
        self._tests += 1
        most = self._reader.settings.max_filter
        if self._tests > most:
            raise TooCostly(f"_filter holds more than {most} tests", expression="http._filter")
        path = self._path()
        operator = self._take("expected an operator").text
        if operator not in _OPERATORS:
            self._at -= 1
            raise UnknownParameter(
                f"unknown operator {operator[:50]!r} in _filter: it takes {', '.join(sorted(_OPERATORS))}",
                expression="http._filter",
            )
        value = self._value()
        return self._resolve(type_, path, lambda type__, asked: _leaf(asked, operator, value, self._reader))

    def _value(self) -> str:
        """Take a JSON string or a token, which may hold brackets of no meaning such as `mm[Hg]` only in a string."""
        found = self._take("expected a value")
        if found.kind == "mark":
            self._at -= 1
            raise self._fault("expected a value")
        if found.kind == "word":
            return found.text
        try:
            text = str(json.loads(found.text))
            text.encode()  # halves of characters, written as escapes, are no text
        except ValueError:
            self._at -= 1
            raise self._fault("not a JSON string") from None
        return text

    def _path(self) -> list[tuple[str, tuple[int, int] | None]]:
        """Take a path: names with the range of lexemes of the filter in brackets behind each."""
        steps: list[tuple[str, tuple[int, int] | None]] = []
        first = self._take("expected a search parameter")
        if first.kind != "word":
            self._at -= 1
            raise self._fault("expected a search parameter")
        names = [first.text] if first.text.startswith("_has:") else first.text.split(".")
        while True:
            bracket = self._bracket() if self._peek("[") else None
            steps += [(name, None) for name in names[:-1]] + [(names[-1], bracket)]
            if bracket is None:
                return self._checked(steps)
            following = self._take("expected `.` and a search parameter")
            if not (following.glued and following.text.startswith(".")):
                self._at -= 1
                raise self._fault("expected `.` and a search parameter")
            names = following.text[1:].split(".")

    def _checked(self, steps: list[tuple[str, tuple[int, int] | None]]) -> list[tuple[str, tuple[int, int] | None]]:
        for name, _ in steps:
            if not _PATH.fullmatch(name):
                self._at -= 1
                raise self._fault(f"{name[:50]!r} is not a search parameter")
        return steps

    def _bracket(self) -> tuple[int, int]:
        """Skip a filter in brackets, to be parsed once the type that it stands under is known."""
        start, depth = self._at + 1, 0
        while True:
            found = self._take("expected `]`")
            if found.kind == "mark" and found.text in "[]":
                depth += 1 if found.text == "[" else -1
            if depth == 0:
                return start, self._at - 1

    def _resolve(
        self, type_: str, path: list[tuple[str, tuple[int, int] | None]], leaf: Callable[[str, Asked], q.Node]
    ) -> q.Node:
        (name, bracket), *rest = path
        if name == "id" and self._names.registry.get(type_, "id") is None:
            name = "_id"
        if not rest:
            return self._names.resolve(type_, name, leaf)
        code, _, target = name.partition(":")
        targets = self._names.targets(type_, code, target)
        if len(path) > self._names.max_chain + 1:
            raise self._names.costly(f"a chain may have {self._names.max_chain} links")

        def below(each: str) -> q.Node:
            node = self._resolve(each, rest, leaf)
            return node if bracket is None else q.And((self._inner(bracket, each), node))

        following = "_id" if rest[0][0] == "id" else rest[0][0]
        return self._names.over(code, targets, following, below)

    def _inner(self, bracket: tuple[int, int], type_: str) -> q.Node:
        start, end = bracket
        inner = _Parser(self._text, self._lexemes[start:end], self._names, self._reader)
        inner._depth = self._depth
        return inner.whole(type_)


def _joined(node: q.Node, join: str, other: q.Node, *, again: bool) -> q.Node:
    """Join from left to right; a run of the same operator is one node, so that long filters stay flat."""
    kind = q.And if join == "and" else q.Or
    before = node.nodes if again and isinstance(node, q.And | q.Or) else (node,)
    return kind((*before, other))


def _leaf(asked: Asked, operator: str, value: str, reader: ValueReader) -> q.Node:
    """Return the node of one test, by the type of its parameter."""
    if operator == "pr":
        return _present(asked, value)
    if operator == "ne":
        return _unequal(asked, value, reader)
    if asked.type == "string" and operator in _TEXT_MODES:
        return q.String(asked.param, _TEXT_MODES[operator], (fold(value),))
    if operator in _MODIFIERS and asked.type == "token":
        return read_values(replace(asked, modifier=_MODIFIERS[operator]), (_with_system(value),), reader)
    if operator in _ORDERED and asked.type in _HAVE_ORDER:
        return read_values(asked, (operator + value,), reader)
    if operator == "po" and asked.type in ("date", "instant"):
        return _overlaps(asked, value, reader)
    if operator == "eq" or (operator == "re" and asked.type == "reference"):
        return read_values(asked, (_with_system(value) if asked.type == "token" else value,), reader)
    raise bad(asked, value, f"the operator {operator} is not for a {asked.type}")


def _present(asked: Asked, value: str) -> q.Node:
    if value not in ("true", "false") or asked.type in ("fulltext", "composite", "list"):
        raise bad(asked, value, "pr takes true or false")
    if asked.type in ("id", "instant"):
        return q.EVERYTHING if value == "true" else q.NOTHING
    return q.Missing(asked.param, value == "false")


def _unequal(asked: Asked, value: str, reader: ValueReader) -> q.Node:
    """Of ordered values one is unequal; of others there are values, and none is equal."""
    if asked.type in _HAVE_ORDER:
        return read_values(asked, ("ne" + value,), reader)
    equal = q.Not(_leaf(asked, "eq", value, reader))
    if asked.type in ("id", "fulltext", "composite", "list"):
        return equal
    return q.And((q.Missing(asked.param, False), equal))


def _overlaps(asked: Asked, value: str, reader: ValueReader) -> q.Node:
    """Test whether the periods overlap: `ap`, not widened."""
    node = read_values(asked, ("eq" + value,), reader)
    if not isinstance(node, q.Date | q.LastUpdated):
        raise bad(asked, value, "it is not a date")
    values = tuple(replace(each, prefix=q.Prefix.AP) for each in node.values)
    return replace(node, values=values)


def _with_system(value: str) -> str:
    system, bar, code = value.partition("|")
    return f"{_SYSTEMS[system]}{bar}{code}" if bar and system in _SYSTEMS else value
