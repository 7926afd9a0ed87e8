"""Full text as `_text`, `_content` and `:text` ask for it: the query language, and what text a resource has.

The language: words (all must occur), "phrases", `prefix*`, OR, NOT and parentheses. Words are compared folded, so case,
accents and punctuation do not count. NOT binds closest, then AND (or nothing between), then OR.

Spec: https://hl7.org/fhir/R4/search.html#content
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Union

import msgspec

from fhir_server.search.folding import fold

_LEXEME = re.compile(r'"([^"]*)"(\*?)|([()])|([^\s()"]+)')
_TAG = re.compile(r"<[^>]*>")
_MAX_DEPTH = 50
_NOT_TEXT = frozenset({"resourceType", "id", "reference", "system", "url", "data", "contentType", "div", "status"})


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words one after the other, folded; `prefix`: the last is only the beginning of a word."""

    words: tuple[str, ...]
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class AllOf:
    """All of `parts` are in the text."""

    parts: tuple["TextQuery", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Any of `parts` is in the text."""

    parts: tuple["TextQuery", ...]


@dataclass(frozen=True, slots=True)
class NoneOf:
    """`part` is not in the text."""

    part: "TextQuery"


TextQuery = Union[Phrase, AllOf, AnyOf, NoneOf]


def parse_text(query: str) -> TextQuery:
    """Parse a query.

    Raises:
        ValueError: there is no word in it, or parentheses or quotes do not match.
    """
    if query.count('"') % 2:
        raise ValueError("a quotation mark is not closed")
    tokens = list(_lexemes(query))
    parsed, rest = _any_of(tokens, 0)
    if rest:
        raise ValueError(f"unexpected {rest[0]!r}")
    return parsed


_Token = Phrase | str


def _lexemes(query: str) -> Iterator[_Token]:
    for quoted, star, bracket, word in _LEXEME.findall(query):
        if bracket or word in ("AND", "OR", "NOT"):
            yield bracket or word
            continue
        words = tuple(fold(quoted or word.rstrip("*")).split())
        if words and any(c.isalnum() for each in words for c in each):
            yield Phrase(words, bool(star) or word.endswith("*"))


def _any_of(tokens: list[_Token], depth: int) -> tuple[TextQuery, list[_Token]]:
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    part, tokens = _all_of(tokens, depth)
    parts = [part]
    while tokens and tokens[0] == "OR":
        part, tokens = _all_of(tokens[1:], depth)
        parts.append(part)
    return (AnyOf(tuple(parts)) if len(parts) > 1 else parts[0]), tokens


def _all_of(tokens: list[_Token], depth: int) -> tuple[TextQuery, list[_Token]]:
    part, tokens = _term(tokens, depth)
    parts = [part]
    while tokens and tokens[0] not in ("OR", ")"):
        part, tokens = _term(tokens[1:] if tokens[0] == "AND" else tokens, depth)
        parts.append(part)
    return (AllOf(tuple(parts)) if len(parts) > 1 else parts[0]), tokens


def _term(tokens: list[_Token], depth: int) -> tuple[TextQuery, list[_Token]]:
    if not tokens:
        raise ValueError("a word is missing")
    first, rest = tokens[0], tokens[1:]
    if isinstance(first, Phrase):
        return first, rest
    if first == "NOT":
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deeply")
        part, rest = _term(rest, depth + 1)
        return NoneOf(part), rest
    if first != "(":
        raise ValueError(f"a word is missing before {first!r}")
    part, rest = _any_of(rest, depth + 1)
    if not rest or rest[0] != ")":
        raise ValueError("a parenthesis is not closed")
    return part, rest[1:]


def contains_text(text: str, query: str) -> bool:
    """Tell whether a text satisfies a query (that `parse_text` accepts)."""
    return _contains(fold(text).split(), parse_text(query))


def _contains(words: list[str], query: TextQuery) -> bool:
    if isinstance(query, AllOf):
        return all(_contains(words, part) for part in query.parts)
    if isinstance(query, AnyOf):
        return any(_contains(words, part) for part in query.parts)
    if isinstance(query, NoneOf):
        return not _contains(words, query.part)
    return any(_phrase_at(words[start:], query) for start in range(len(words)))


def _phrase_at(words: list[str], phrase: Phrase) -> bool:
    *before, last = phrase.words
    if list(before) != words[: len(before)] or len(words) < len(phrase.words):
        return False
    return words[len(before)].startswith(last) if phrase.prefix else words[len(before)] == last


def words_start(text: str, query: str) -> bool:
    """Tell whether every word of `query` begins a word of `text` (`:text`); both folded already."""
    words = text.split()
    return all(any(word.startswith(wanted) for word in words) for wanted in query.split())


def narrative_text(body: bytes) -> str:
    """Return the plain text of the narrative (`_text`)."""
    resource: Any = msgspec.json.decode(body)
    narrative = resource.get("text") if isinstance(resource, dict) else None
    div = narrative.get("div") if isinstance(narrative, dict) else None
    return html.unescape(_TAG.sub(" ", div)) if isinstance(div, str) else ""


def content_text(body: bytes) -> str:
    """Return all of a resource's words (`_content`): the narrative and every string but URLs, ids and data."""
    return f"{narrative_text(body)}\n{chr(10).join(_strings(msgspec.json.decode(body)))}"


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, child in value.items():
            if name not in _NOT_TEXT:
                yield from _strings(child)
    elif isinstance(value, list):
        for child in value:
            yield from _strings(child)
