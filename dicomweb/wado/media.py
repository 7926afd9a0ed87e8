"""Media types as clients accept them: RFC 9110 and PS3.18 8.7, quoted or not, several at once."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_PARTS: Final = re.compile(r'(?:[^,;"]|"(?:[^"\\]|\\.)*")+|[,;]')


@dataclass(frozen=True, slots=True)
class Accepted:
    """One media type of an Accept header. type: of the parts where it is multipart/related, else of the whole.

    syntax: a transfer syntax, `*` for the one that is stored, empty where none is named.
    """

    type: str
    multipart: bool = False
    syntax: str = ""
    weight: float = 1.0


def accepted(header: str, default: str) -> list[Accepted]:
    """Return what an Accept header takes, what is preferred first; `default` where it says nothing."""
    found = [_one(parts) for parts in _split(header or default)]
    wanted = [each for each in found if each is not None and each.weight > 0]
    return sorted(wanted, key=lambda each: -each.weight)


def content_type(header: str) -> tuple[str, dict[str, str]]:
    """Return a Content-Type in lower case, and its parameters."""
    for parts in _split(header):
        return parts[0].strip().lower(), _parameters(parts[1:])
    return "", {}


def _split(header: str) -> Iterator[list[str]]:
    """Yield the members of a list, each as its pieces between semicolons."""
    pieces: list[str] = [""]
    for mark in _PARTS.findall(header):
        if mark == ",":
            if any(pieces):
                yield pieces
            pieces = [""]
        elif mark == ";":
            pieces.append("")
        else:
            pieces[-1] += mark
    if any(pieces):
        yield pieces


def _parameters(pieces: list[str]) -> dict[str, str]:
    found = {}
    for piece in pieces:
        name, equals, value = piece.partition("=")
        if equals:
            found[name.strip().lower()] = value.strip().strip('"').strip()
    return found


def _one(pieces: list[str]) -> Accepted | None:
    media, parameters = pieces[0].strip().lower(), _parameters(pieces[1:])
    try:
        weight = float(parameters.get("q", "1"))
    except ValueError:
        weight = 1.0
    syntax = parameters.get("transfer-syntax", "")
    if media == "multipart/related":
        return Accepted(parameters.get("type", "*/*").lower(), True, syntax, weight)
    return Accepted(media, False, syntax, weight) if "/" in media else None


def covers(pattern: str, media: str) -> bool:
    """Tell whether an accepted type, which may be `image/*`, takes another."""
    if pattern == "*/*" or pattern == media:
        return True
    return pattern.endswith("/*") and media.startswith(pattern[:-1])
