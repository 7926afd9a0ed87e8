"""JSON Pointer: how a JSON Patch names a place. Spec: RFC 6901"""

import re
from dataclasses import dataclass
from typing import Any

from fhir_server.errors import BadRequest, InvalidResource

_ESCAPED = re.compile(r"~(.?)", re.DOTALL)
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Pointer:
    """A pointer as its names, unescaped; none of them for the whole document."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "Pointer":
        """Read a pointer. Raises BadRequest: it does not start with `/`, or has a `~` that is neither `~0` nor `~1`."""
        if text and not text.startswith("/"):
            raise BadRequest(f"{text[:80]!r} of the patch is no JSON Pointer: it starts with '/'")
        return cls(tuple(_unescaped(name) for name in text.split("/")[1:]))

    def holder(self, document: Any) -> Any:
        """Return the object or array that the last name is looked up in. Raises InvalidResource: there is none."""
        for depth, name in enumerate(self.names[:-1], start=1):
            document = Pointer(self.names[:depth]).member(document, name)
        if not isinstance(document, dict | list):
            raise self._wrong("a path goes through a value of another kind")
        return document

    def member(self, holder: Any, name: str) -> Any:
        """Return what a holder has under a name. Raises InvalidResource: nothing."""
        if isinstance(holder, list):
            return holder[self.index(holder, name, len(holder) - 1)]
        if not isinstance(holder, dict):
            raise self._wrong("a path goes through a value of another kind")
        if name not in holder:
            raise self._wrong(f"{self} is not there")
        return holder[name]

    def index(self, items: list[Any], name: str, last: int) -> int:
        """Return an index of an array. Raises InvalidResource: it is none, or beyond the last one that is allowed."""
        if not _INDEX.fullmatch(name) or int(name) > last:
            raise self._wrong(f"{self} is no place in an array of {len(items)} items")
        return int(name)

    def value(self, document: Any) -> Any:
        """Return what the pointer points to. Raises InvalidResource: nothing."""
        return self.member(self.holder(document), self.names[-1]) if self.names else document

    def __str__(self) -> str:
        # What it points to is the patient's, and so may be the names that a client makes up: only short ones are said.
        return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in self.names)[:200] or "''"

    def _wrong(self, reason: str) -> InvalidResource:
        return InvalidResource(f"the patch cannot be applied: {reason}")


def _unescaped(name: str) -> str:
    return _ESCAPED.sub(_unescape, name) if "~" in name else name


def _unescape(match: re.Match[str]) -> str:
    if match[1] not in ("0", "1"):
        raise BadRequest("a JSON Pointer of the patch has a '~' that is neither '~0' nor '~1'")
    return "~" if match[1] == "0" else "/"
