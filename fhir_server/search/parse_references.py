"""The forms in which a search value names a resource.

Spec: https://hl7.org/fhir/R4/search.html#reference
"""

import re
from collections.abc import Collection, Iterator
from typing import Protocol

from fhir_server.model.keys import is_id
from fhir_server.search.query import ReferenceValue

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_MOST_URL = 2_000


class Place(Protocol):
    """Where the search is asked: the base URL of this server and the types that it has."""

    @property
    def own_base(self) -> str: ...

    @property
    def registry(self) -> "Types": ...


class Types(Protocol):
    """The resource types that there are."""

    @property
    def types(self) -> Collection[str]: ...


def reference_values(text: str, targets: tuple[str, ...], place: Place) -> Iterator[ReferenceValue]:
    """Read `id`, `Type/id`, `Type/id/_history/v`, an absolute URL or `canonical|version`.

    A URL of this server names the resource, and stands for itself too: it may be a canonical URL.

    Raises:
        ValueError: it is none of these, or names a type that the parameter does not refer to.
    """
    if len(text) > _MOST_URL:
        raise ValueError("the URL is too long")
    relative = _relative(text, place.own_base)
    if relative is not None:
        yield from _try_own(relative, targets, place)
    if _ABSOLUTE.fullmatch(text):
        url, _, version = text.partition("|")
        yield ReferenceValue(url=url, version=version or None)
    elif is_id(text):
        yield ReferenceValue(id=text)
    else:
        yield _own(text, targets, place)


def _relative(text: str, own_base: str) -> str | None:
    base = own_base.rstrip("/") + "/"
    return text.removeprefix(base) if own_base and text.startswith(base) else None


def _try_own(relative: str, targets: tuple[str, ...], place: Place) -> Iterator[ReferenceValue]:
    try:
        yield _own(relative, targets, place)
    except ValueError:
        return


def _own(text: str, targets: tuple[str, ...], place: Place) -> ReferenceValue:
    type_, _, rest = text.partition("/")
    id_, _, tail = rest.partition("/")
    history, _, version = tail.partition("/")
    if type_ not in place.registry.types or not is_id(id_) or (tail and (history != "_history" or not is_id(version))):
        raise ValueError("it is not an id, Type/id, URL or canonical|version")
    if targets and type_ not in targets:
        raise ValueError(f"it refers to {', '.join(targets)}, never to {type_}")
    return ReferenceValue(type=type_, id=id_, version=version or None)
