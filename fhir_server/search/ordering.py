"""What a resource is sorted by, for engines that store it: one value of each parameter for either direction.

Spec: https://hl7.org/fhir/R4/search.html#_sort
"""

from collections.abc import Iterable

from fhir_server.search.entries import IndexEntries

SortValue = str | float | int
"""Numbers stand before texts; an open end is infinite."""


def least_and_greatest(entries: IndexEntries, longest: int) -> dict[str, tuple[SortValue, SortValue]]:
    """Return the least and the greatest value of each parameter that has any, by its code.

    What modifiers search by (`code:text`) orders nothing, and is left out. longest: characters of a string that count.
    """
    found: dict[str, tuple[SortValue, SortValue]] = {}
    for param, low, high in _values(entries, longest):
        if ":" in param:
            continue
        least, greatest = found.get(param, (low, high))
        found[param] = (min(least, low, key=_rank), max(greatest, high, key=_rank))
    return found


def _rank(value: SortValue) -> tuple[bool, SortValue]:
    return isinstance(value, str), value


def _values(entries: IndexEntries, longest: int) -> Iterable[tuple[str, SortValue, SortValue]]:
    for param, folded, _ in entries.strings:
        yield param, folded[:longest], folded[:longest]
    for param, _, code in entries.tokens:
        yield param, code, code
    yield from entries.dates
    yield from entries.numbers
    for param, low, high, _, _, canonical in entries.quantities:
        least, greatest = (canonical or (low, high))[:2]
        yield param, least, greatest
    for param, uri in entries.uris:
        yield param, uri, uri
    for param, type_, id_, url, _ in entries.references:
        named = url or f"{type_}/{id_}"
        yield param, named, named
