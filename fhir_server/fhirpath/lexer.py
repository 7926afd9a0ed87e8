"""Cut an expression into tokens.

Spec: https://hl7.org/fhirpath/N1/#lexical-elements
"""

import re
from dataclasses import dataclass

from fhir_server.fhirpath.errors import FhirPathError, Position

_DATE = r"\d{4}(?:-\d{2}(?:-\d{2})?)?"
_TIME = r"\d{2}(?::\d{2}(?::\d{2}(?:\.\d+)?)?)?"
_TOKENS = re.compile(
    rf"""
    (?P<skip>[ \t\r\n\u00a0]+|//[^\r\n]*|/\*.*?\*/)
  | (?P<time>@T{_TIME})
  | (?P<datetime>@{_DATE}T(?:{_TIME}(?:Z|[+-]\d{{2}}:\d{{2}})?)?)
  | (?P<date>@{_DATE})
  | (?P<long>\d+L\b)
  | (?P<number>\d+(?:\.\d+)?)
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<delimited>`(?:[^`\\]|\\.)*`)
  | (?P<string>'(?:[^'\\]|\\.)*')
  | (?P<constant>%(?:[A-Za-z_][A-Za-z0-9_]*|`(?:[^`\\]|\\.)*`|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))
  | (?P<variable>\$(?:this|index|total)\b)
  | (?P<symbol><=|>=|!=|!~|[.,()\[\]{{}}+\-*/&|<>=~])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {"'": "'", '"': '"', "`": "`", "\\": "\\", "/": "/", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_OPENERS = {
    "/*": "a comment that is not closed",
    "'": "a string that is not closed",
    "`": "an identifier that is not closed",
    '"': "double quotes: strings stand in single quotes, identifiers in backticks",
    "@": "a date or time that is not well-formed",
    "%": "a per cent sign without the name of a variable",
    "$": "'$' is followed by this, index or total",
}


@dataclass(frozen=True, slots=True)
class Token:
    """A token; `text` is unescaped and without quotes, at-signs and per cent signs."""

    kind: str
    text: str
    at: int


def tokenize(expression: str) -> list[Token]:
    """Cut an expression into tokens; the last one is of kind `end`.

    Raises:
        FhirPathError: with the position of the first character that begins no token.
    """
    tokens: list[Token] = []
    at, end = 0, len(expression)
    while at < end:
        match = _TOKENS.match(expression, at)
        # "/*" without its end would otherwise be read as a division.
        if match is None or (expression.startswith("/*", at) and match["skip"] is None):
            raise _unexpected(expression, at)
        if match.lastgroup != "skip":
            tokens.append(_token(str(match.lastgroup), match.group(), at))
        at = match.end()
    tokens.append(Token("end", "", end))
    return tokens


def _unexpected(expression: str, at: int) -> FhirPathError:
    for opener, meaning in _OPENERS.items():
        if expression.startswith(opener, at):
            return FhirPathError(meaning, Position.of(expression, at))
    return FhirPathError(f"unexpected character {expression[at]!r}", Position.of(expression, at))


def _token(kind: str, text: str, at: int) -> Token:
    if kind in ("string", "delimited"):
        text = _unescape(text[1:-1])
    elif kind == "constant":
        text = _unescape(text[2:-1]) if text[1] in "`'\"" else text[1:]
    elif kind in ("date", "datetime", "time"):
        text = text[1:]
    elif kind == "long":
        text = text[:-1]
    return Token(kind, text, at)


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    # A pair of escaped surrogates is one character, as in JSON.
    return _ESCAPE.sub(_unescaped, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _unescaped(match: re.Match[str]) -> str:
    """An escaped character; a backslash that begins no escape sequence is left out."""
    return chr(int(match[1], 16)) if match[1] else _ESCAPED.get(match[2], match[2])
