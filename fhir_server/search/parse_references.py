"""The forms in which a search value names a resource.

Spec: https://hl7.org/fhir/R4/search.html#reference
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from fhir_server.model.keys import is_id
from fhir_server.search import query as q
from fhir_server.search.asked import Asked, Read, ValueReader, short, unescape, unknown
from fhir_server.search.hierarchies import hierarchical
from fhir_server.search.parse_tokens import token_value

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_MOST_URL = 2_000


def read_reference(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    """Read the forms of `reference_values`."""
    found = (each for value in values for each in reference_values(unescape(value), asked.targets, reader))
    return q.Reference(asked.param, tuple(found), asked.targets)


def read_typed_reference(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    """`subject:Patient=23` is `subject=Patient/23`."""
    type_ = asked.modifier
    if type_ not in reader.registry.types:
        raise unknown(asked, f"there is no resource type {short(type_)}")
    if asked.targets and type_ not in asked.targets:
        reader.impossible(_never(asked.targets, type_))
    prefixed = tuple(f"{type_}/{value}" if is_id(value) else value for value in values)
    narrowed = replace(asked, targets=(type_,))
    return read_reference(narrowed, prefixed, reader)


def related(direction: Callable[[q.Reference, dict[str, str], int], q.Node]) -> Read:
    """Return the reader of `:below` or `:above`, which are the two directions of `hierarchies`."""

    def read_related(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
        node = read_reference(asked, values, reader)
        parents = hierarchical(reader.registry, asked.targets)
        if not parents or not isinstance(node, q.Reference):
            raise unknown(asked, f"{', '.join(asked.targets) or 'the target'} forms no hierarchy")
        return direction(node, parents, reader.settings.max_chain)

    return read_related


def read_reference_identifier(asked: Asked, values: tuple[str, ...], reader: ValueReader) -> q.Node:
    """`:identifier`: the logical identifier, in the forms of a token."""
    return q.ReferenceIdentifier(asked.param, tuple(token_value(value) for value in values))


def reference_values(text: str, targets: tuple[str, ...], place: ValueReader) -> Iterator[q.ReferenceValue]:
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
        yield q.ReferenceValue(url=url, version=version or None)
    elif is_id(text):
        yield q.ReferenceValue(id=text)
    else:
        yield _own(text, targets, place)


def _relative(text: str, own_base: str) -> str | None:
    base = own_base.rstrip("/") + "/"
    return text.removeprefix(base) if own_base and text.startswith(base) else None


def _try_own(relative: str, targets: tuple[str, ...], place: ValueReader) -> Iterator[q.ReferenceValue]:
    try:
        yield _own(relative, targets, place)
    except ValueError:
        return


def _own(text: str, targets: tuple[str, ...], place: ValueReader) -> q.ReferenceValue:
    type_, _, rest = text.partition("/")
    id_, _, tail = rest.partition("/")
    history, _, version = tail.partition("/")
    if type_ not in place.registry.types or not is_id(id_) or (tail and (history != "_history" or not is_id(version))):
        raise ValueError("it is not an id, Type/id, URL or canonical|version")
    if targets and type_ not in targets:
        place.impossible(_never(targets, type_))
    return q.ReferenceValue(type=type_, id=id_, version=version or None)


def _never(targets: tuple[str, ...], type_: str) -> str:
    return f"it refers to {', '.join(targets)}, never to {type_}"
