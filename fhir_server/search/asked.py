"""What was asked for: one parameter with its modifier, and what reading its values depends on.

Spec: https://hl7.org/fhir/R4/search.html#escaping
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import tzinfo

from fhir_server.errors import BadValue, UnknownParameter
from fhir_server.search.expander import CodeExpander
from fhir_server.search.parameters import Component, Parameter, ParameterRegistry
from fhir_server.search.query import Node
from fhir_server.settings import Settings

_MOST_HINTS = 10
_ESCAPE = re.compile(r"\\([,$|\\])")


@dataclass(frozen=True, slots=True)
class ValueReader:
    """What reading a value depends on besides its text. `now` is milliseconds since 1970 UTC.

    strict: whether what no resource can have is refused; else it finds nothing, and `hints` say so.
    """

    registry: ParameterRegistry
    zone: tzinfo
    own_base: str
    expander: CodeExpander | None
    now: int
    settings: Settings
    strict: bool = True
    hints: dict[str, None] = field(default_factory=dict)

    def impossible(self, reason: str) -> None:
        """Note that a value can find nothing. Raises ValueError where that is refused."""
        if self.strict:
            raise ValueError(reason)
        if len(self.hints) < _MOST_HINTS:
            self.hints[reason] = None


@dataclass(frozen=True, slots=True)
class Asked:
    """One parameter as asked: `name` is what the client wrote, for messages; `param` the code in the tree."""

    name: str
    param: str
    type: str
    targets: tuple[str, ...] = ()
    components: tuple[Component, ...] = ()
    modifier: str = ""
    ignores_case: bool = False


Read = Callable[[Asked, tuple[str, ...], ValueReader], Node]
"""Reads the alternatives of one parameter into a node. Raises ValueError for what cannot be read."""

_SPECIAL = {"_id": "id", "_lastUpdated": "instant", "_text": "fulltext", "_content": "fulltext"}


def asked_for(parameter: Parameter, name: str, modifier: str) -> Asked:
    """Return how a parameter was asked for; `_id`, `_lastUpdated`, `_text` and `_content` are types of their own."""
    kind = _SPECIAL.get(parameter.code, parameter.type)
    return Asked(name, parameter.code, kind, parameter.targets, parameter.components, modifier, parameter.ignores_case)


def split(text: str, separator: str) -> list[str]:
    r"""Split at a separator that no backslash escapes; the parts keep their escapes.

    Spec: https://hl7.org/fhir/R4/search.html#escaping
    """
    if "\\" not in text:
        return text.split(separator)
    parts, start, at = [], 0, 0
    while at < len(text):
        if text[at] == "\\":
            at += 2
            continue
        if text[at] == separator:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    return [*parts, text[start:]]


def unescape(text: str) -> str:
    r"""Replace `\,` `\$` `\|` and `\\` by the character; another backslash stands for itself."""
    return _ESCAPE.sub(r"\1", text) if "\\" in text else text


def bad(asked: Asked, value: str, reason: str) -> BadValue:
    """Return the error for a value; what is long is cut."""
    named = asked.name.partition(":")[0] == asked.param
    label = asked.name if named else f"{asked.param} in {asked.name}"
    text = f"bad value {short(value)!r} for {short(label)}: {short(reason)}"
    return BadValue(text, expression=f"http.{short(asked.name)}")


def is_unicode(text: str) -> bool:
    """Tell whether a text can be stored and compared: no halves of characters (lone surrogates)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def short(text: str) -> str:
    """Cut a text that goes into a message."""
    return text if len(text) <= 200 else text[:200] + "..."


def unknown(asked: Asked, reason: str) -> UnknownParameter:
    """Return the error for a name, modifier or type."""
    return UnknownParameter(f"{short(asked.name)}: {reason}", expression=f"http.{short(asked.name)}")
