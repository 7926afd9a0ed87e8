"""Tokens: codes, identifiers, and what terminology makes of them.

Spec: https://hl7.org/fhir/R4/search.html#token
"""

from fhir_server.search import query as q
from fhir_server.search.asked import Asked, Read, ValueReader, split, unescape, unknown
from fhir_server.search.expander import CodeExpander
from fhir_server.search.values import fold


def token_value(text: str) -> q.TokenValue:
    """Read `code`, `system|code`, `|code` or `system|`.

    Raises:
        ValueError: more than one bar, or nothing but a bar.
    """
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) == 1:
        return q.TokenValue(None, parts[0])
    if len(parts) > 2 or parts == ["", ""]:
        raise ValueError("a token is code, system|code, |code or system|")
    return q.TokenValue(parts[0], parts[1] or None)


def read_token(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    """Codes and identifiers; a token on plain strings stands in the index casefolded too."""
    found = tuple(token_value(value) for value in values)
    if asked.ignores_case:
        found = tuple(q.TokenValue(one.system, one.code and one.code.casefold()) for one in found)
    return q.Token(asked.param, found)


def read_not_token(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    """`:not` finds resources without any value too."""
    return q.Not(read_token(asked, values, reader))


def read_token_text(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    """`:text`: words that begin words of the display or text."""
    return q.TokenText(asked.param, tuple(fold(unescape(value)) for value in values))


def read_of_type(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    """`:of-type`: identifiers of a type."""
    return q.OfType(asked.param, tuple(_triple(value) for value in values))


def _triple(text: str) -> tuple[str, str, str]:
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) != 3 or not all(parts):
        raise ValueError(":of-type takes system|code|value of the identifier's type and value")
    return parts[0], parts[1], parts[2]


def read_in(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    """`:in`: the codes of value sets."""
    expander = _expander(asked, reader)
    codes = (code for value in values for code in expander.codes_in(unescape(value)))
    return q.Token(asked.param, tuple(dict.fromkeys(codes)))


def read_not_in(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    """`:not-in` finds resources without any value too."""
    return q.Not(read_in(asked, values, reader))


def code_hierarchy(direction: str) -> Read:
    """Return the reader of `:below` or `:above`: the code and its descendants or ancestors."""

    def read_related(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
        expander = _expander(asked, reader)
        related = expander.descendants if direction == "below" else expander.ancestors
        codes: dict[q.TokenValue, None] = {}
        for system, code in map(_full_code, values):
            codes |= dict.fromkeys(related(system, code))
        return q.Token(asked.param, tuple(codes))

    return read_related


def _full_code(text: str) -> tuple[str, str]:
    token = token_value(text)
    if not token.system or not token.code:
        raise ValueError("it needs system|code")
    return token.system, token.code


def _expander(asked: Asked, reader: ValueReader) -> CodeExpander:
    if reader.expander is None:
        raise unknown(asked, f"this server has no terminology, which :{asked.modifier} needs")
    return reader.expander
