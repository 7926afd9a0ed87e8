"""HTML as text: what people read of it, with the place of each character in the source; one pass, no nesting kept."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape
from typing import Final

_HIDDEN: Final = ("script", "style", "head", "template")
_BLOCKS: Final = frozenset(
    [
        "p",
        "div",
        "br",
        "li",
        "tr",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "table",
        "ul",
        "ol",
        "section",
        "article",
        "header",
        "footer",
        "td",
        "th",
        "dt",
        "dd",
        "pre",
        "blockquote",
    ]
)
_LONGEST_NAME: Final = 20
_LONGEST_ENTITY: Final = 12


@dataclass(frozen=True, slots=True)
class Shown:
    """Text, and where its pieces begin: offsets in the text, and those of the same characters in the source."""

    text: str
    starts: Sequence[int] = (0,)
    origins: Sequence[int] = (0,)

    def origin(self, offset: int, *, end: bool = False) -> int:
        """Return the place of a character in the source; of an end, the place behind the character before it."""
        at = offset - 1 if end and offset else offset
        piece = bisect_right(self.starts, at) - 1
        return self.origins[piece] + at - self.starts[piece] + (1 if end and offset else 0)


def shown(source: str) -> Shown:
    """Return the text of an HTML document."""
    parts: list[str] = []
    starts, origins = [0], [0]
    length = 0

    def add(text: str, origin: int) -> None:
        nonlocal length
        if text:
            starts.append(length)
            origins.append(origin)
            parts.append(text)
            length += len(text)

    at = tag = entity = 0
    while at < len(source):
        tag, entity = _next(source, "<", tag, at), _next(source, "&", entity, at)
        sign = min(tag, entity)
        add(source[at:sign], at)
        if sign == len(source):
            break
        if source[sign] == "&":
            end = source.find(";", sign, sign + _LONGEST_ENTITY)
            whole = unescape(source[sign : end + 1]) if end > 0 else "&"
            add(whole[:1], sign)
            at = end + 1 if end > 0 and len(whole) == 1 else sign + 1
            continue
        at, break_ = _tag(source, sign)
        add("\n" if break_ else "", sign)
    return Shown("".join(parts), starts, origins)


def _next(source: str, sign: str, known: int, at: int) -> int:
    """Return the next place of a sign, its end if there is none; what is known is not looked for again."""
    if known > at or (known == at and source.startswith(sign, at)):
        return known
    found = source.find(sign, at)
    return found if found >= 0 else len(source)


def _tag(source: str, sign: int) -> tuple[int, bool]:
    """Return the place behind a tag (with what it hides), and whether a line ends there."""
    if source.startswith("<!--", sign):
        end = source.find("-->", sign)
        return (end + 3 if end >= 0 else len(source)), False
    end = source.find(">", sign)
    if end < 0:
        return len(source), False
    name = source[sign + 1 : min(end, sign + 1 + _LONGEST_NAME)].strip("/ \t\r\n").split(" ")[0].split("/")[0].lower()
    if name in _HIDDEN and source[sign + 1] != "/":
        close = _close(source, name, end)
        end = source.find(">", close) if close >= 0 else -1
        return (end + 1 if end >= 0 else len(source)), True
    return end + 1, name in _BLOCKS


def _close(source: str, name: str, start: int) -> int:
    """Return where an element that hides its content is closed; -1 where it is not."""
    at = source.find("</", start)
    while at >= 0:
        if source[at + 2 : at + 2 + len(name)].lower() == name:
            return at
        at = source.find("</", at + 2)
    return -1
