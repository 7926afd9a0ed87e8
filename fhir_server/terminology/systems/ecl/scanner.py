"""The tokens of an expression constraint, each with its place."""

import re
from dataclasses import dataclass

from fhir_server.errors import BadValue

_MOST = 20_000
_TOKEN = re.compile(
    r"(?P<space>(?:\s|/\*.*?\*/)+)"
    r"|(?P<term>\|[^|]*\|)"
    r'|(?P<text>"(?:[^"\\]|\\.)*")'
    r"|(?P<number>\#[+-]?[0-9]+(?:\.[0-9]+)?)"
    r"|(?P<code>[0-9]+)"
    r"|(?P<word>[A-Za-z][A-Za-z0-9-]*)"
    r"|(?P<sign>\{\{|\}\}|<<!|>>!|!!<|!!>|<<|>>|<!|>!|<=|>=|!=|\.\.|[<>^*(){}\[\]:,.=+])",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A token; words are in capitals, texts and numbers without their marks."""

    kind: str
    text: str
    at: int


def scan(source: str) -> list[Token]:
    """Cut an expression into tokens; what people write between bars is left out.

    Raises:
        BadValue: a character that begins nothing, or an expression too long.
    """
    if len(source) > _MOST:
        raise BadValue(f"an expression constraint has at most {_MOST} characters")
    tokens: list[Token] = []
    at = 0
    while at < len(source):
        found = _TOKEN.match(source, at)
        if found is None:
            raise BadValue(f"expression constraint: {source[at : at + 20]!r} at character {at + 1} begins nothing")
        kind = found.lastgroup or ""
        if kind not in ("space", "term"):
            tokens.append(Token(kind, _text(kind, found.group()), at))
        at = found.end()
    tokens.append(Token("end", "the end", at))
    return tokens


def _text(kind: str, text: str) -> str:
    if kind == "word":
        return text.upper()
    if kind == "number":
        return text[1:]
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if kind == "text" else text
