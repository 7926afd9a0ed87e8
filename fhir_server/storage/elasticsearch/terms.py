"""The terms that equality searches look up: made alike of what is indexed and of what is asked."""

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Final

from fhir_server.model.keys import ResourceKey
from fhir_server.search.entries import IndexEntries

MARK: Final = "\x1f"
LONGEST: Final = 1_000
"""Letters of a string that its beginning is looked up by; Lucene takes no term above 32,766 bytes."""
_PLAIN: Final = 200
_KEPT: Final = 100
_DIGEST: Final = 32


def term(*parts: str) -> str:
    """Return one term; of a long one the beginning and a digest."""
    text = MARK.join(parts)
    if len(text) <= _PLAIN:
        return text
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST // 2).hexdigest()
    return f"{text[:_KEPT]}{MARK}{digest}"


def is_digest(text: str) -> bool:
    """Tell whether a term is perhaps one of which only the beginning is left."""
    return len(text) == _KEPT + 1 + _DIGEST and text[_KEPT] == MARK


def name_of(key: ResourceKey) -> str:
    """Return what the documents of a resource are called by, without telling whose they are."""
    return blake2b(f"{key.type}/{key.id}".encode(), digest_size=16).hexdigest()


def field(param: str) -> str:
    """Return a parameter's code as the name of a field."""
    return param.replace(".", "\uff0e")


def begins(param: str, text: str) -> str:
    """Return the term of a string by which its beginning is looked up."""
    return f"{param}{MARK}{text[:LONGEST]}"


def grams(text: str) -> set[str]:
    """Return all pairs and triples of letters of a text."""
    return {text[at : at + size] for size in (2, 3) for at in range(len(text) - size + 1)}


def full(param: str, system: str, code: str) -> str:
    """Return the term of `system|code`; system "" for `|code`."""
    return term("t", param, system, code)


def code(param: str, value: str) -> str:
    """Return the term of a code in any system."""
    return term("c", param, value)


def system(param: str, value: str) -> str:
    """Return the term of any code in a system."""
    return term("s", param, value)


def reference(param: str, type_: str, id_: str) -> str:
    """Return the term of a reference to a resource of this server."""
    return term("r", param, type_, id_)


def local(param: str, id_: str) -> str:
    """Return the term of a reference to an id of any type."""
    return term("l", param, id_)


def url(param: str, value: str) -> str:
    """Return the term of an absolute, canonical or logical reference, or of a URI."""
    return term("u", param, value)


def present(param: str) -> str:
    """Return the term of a parameter that has a value."""
    return term("p", param)


def exact(param: str, original: str) -> str:
    """Return the term of a string as it was written."""
    return term("e", param, original)


def unit(param: str, value: str) -> str:
    """Return the term of the unit, in base units of UCUM, of a quantity."""
    return term("q", param, value)


def of(entries: IndexEntries) -> list[str]:
    """Return all terms of one resource, sorted."""
    return sorted(set(_all(entries)))


def _all(entries: IndexEntries) -> Iterator[str]:
    for param, sys, value in entries.tokens:
        yield from (full(param, sys or "", value), code(param, value), system(param, sys or ""))
    for param, uri in entries.uris:
        yield url(param, uri)
    for param, _, original in entries.strings:
        if ":" not in param:
            yield exact(param, original)
    for row in entries.quantities:
        if row[5] is not None:
            yield unit(row[0], row[5][2])
    for param, type_, id_, absolute, _ in entries.references:
        yield from _reference(param, type_, id_, absolute)
    for param in entries.present():
        yield from {present(param), present(param.partition(":")[0])}


def _reference(param: str, type_: str | None, id_: str | None, absolute: str | None) -> Iterable[str]:
    if absolute is not None:
        yield url(param, absolute)
    if type_ is None or id_ is None:
        return
    yield reference(param, type_, id_)
    if type_ != "#":
        yield local(param, id_)
