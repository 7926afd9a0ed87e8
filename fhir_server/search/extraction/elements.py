"""Read one element without memory: tokens, URIs, numbers, quantities, positions.

A reader takes the JSON of the element and a `Scope` and gives tuples as `IndexEntries` has them, without the code of
the parameter. The tables of what a parameter of some kind finds in an element of some type are those of
https://hl7.org/fhir/R4/search.html#ptypes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import inf
from typing import Any

from fhir_server.search.units import UCUM, canonical_quantity

Json = Any
Row = tuple[Any, ...]
Scope = tuple[str, Mapping[str, str]]
"""The base URL of this server ("" when not known) and the types of the contained resources by local id."""
Reader = Callable[[Json, Scope], Iterable[Row]]

CURRENCY = "urn:iso:std:iso:4217"


# --- tokens: (system or None, code)


def read_coding(value: Json, _: Scope) -> Iterable[Row]:
    """(system, code); the code is "" where there is none, which no search finds but `:missing` sees."""
    return ((value.get("system"), value.get("code", "")),)


def read_concept(value: Json, scope: Scope) -> Iterable[Row]:
    """All codings; one with nothing but text is (None, "")."""
    return [row for coding in value.get("coding", ()) for row in read_coding(coding, scope)] or ((None, ""),)


def read_identifier(value: Json, _: Scope) -> Iterable[Row]:
    """(system, value)"""
    return ((value.get("system"), value.get("value", "")),)


def read_identifier_types(value: Json) -> Iterator[Row]:
    """("system|code", value) for each type of an Identifier, as `:of-type` asks for it."""
    text = value.get("value")
    for coding in (value.get("type") or {}).get("coding", ()):
        if text and coding.get("code"):
            yield f"{coding.get('system', '')}|{coding['code']}", text


def read_contact_token(value: Json, _: Scope) -> Iterable[Row]:
    """(None, value)"""
    text = value.get("value")
    return ((None, text),) if text else ()


def read_boolean(value: Json, _: Scope) -> Iterable[Row]:
    """(None, "true") or (None, "false")"""
    return ((None, "true" if value else "false"),)


def read_plain(value: Json, _: Scope) -> Iterable[Row]:
    """(None, text) of any primitive"""
    return ((None, str(value)),)


def read_string_token(value: Json, _: Scope) -> Iterable[Row]:
    """(None, text), and again without regard to case: `Parameter.ignores_case` says that searches may ask so."""
    folded = value.casefold()
    return ((None, value),) if folded == value else ((None, value), (None, folded))


def code_reader(systems: Mapping[str, str], only: str | None) -> Reader:
    """Return the reader of a `code`, whose system is that of its binding: by code, or the only one there is."""

    def read(value: Json, _: Scope) -> Iterable[Row]:
        return ((systems.get(value, only), value),)

    return read


# --- URIs: (value,)


def read_uri(value: Json, _: Scope) -> Iterable[Row]:
    """The URI as it stands; a canonical with a version also without it."""
    url, bar, _version = value.partition("|")
    return ((value,), (url,)) if bar and url else ((value,),)


# --- numbers and quantities: (low, high, ...)


def _float(value: Json) -> float:
    try:
        return float(value)
    except OverflowError:
        return inf if value > 0 else -inf


def read_number(value: Json, _: Scope) -> Iterable[Row]:
    """(value, value)"""
    number = _float(value)
    return ((number, number),)


def read_number_range(value: Json, _: Scope) -> Iterable[Row]:
    """(low, high) of a Range, whatever its unit"""
    low, high = (value.get("low") or {}).get("value"), (value.get("high") or {}).get("value")
    if low is None and high is None:
        return ()
    return ((-inf if low is None else _float(low), inf if high is None else _float(high)),)


def read_quantity(value: Json, _: Scope) -> Iterable[Row]:
    """(low, high, system, code or unit, canonical); also under its unit where that is spelt otherwise than the code.

    `<5` is everything below 5, and so on.
    """
    stated = value.get("value")
    if stated is None:
        return ()
    low = high = _float(stated)
    comparator = value.get("comparator")
    if comparator is not None:
        low, high = _open(low, comparator)
    system, code, unit = value.get("system", ""), value.get("code"), value.get("unit")
    canonical = canonical_quantity(low, high, code) if code and system == UCUM else None
    row = (low, high, system, code or unit or "", canonical)
    if code and unit and unit != code:
        return (row, (low, high, "", unit, None))
    return (row,)


def _open(value: float, comparator: str) -> tuple[float, float]:
    bounds = {
        "<": (-inf, _below(value)),
        "<=": (-inf, value),
        ">=": (value, inf),
        ">": (-_below(-value), inf),
    }
    return bounds.get(comparator, (value, value))


def _below(value: float) -> float:
    """Return the number next below: far enough to survive the rounding of canonical units."""
    return value - abs(value) * 1e-11 if value else -1e-300


def read_range(value: Json, _: Scope) -> Iterable[Row]:
    """A Range as one row, open where an end is missing, in the unit of its ends."""
    bounds = tuple(read_number_range(value, _))
    if not bounds:
        return ()
    low, high = bounds[0]
    end = value.get("low") or value.get("high")
    system, code = end.get("system", ""), end.get("code")
    canonical = canonical_quantity(low, high, code) if code and system == UCUM else None
    return ((low, high, system, code or end.get("unit", ""), canonical),)


def read_money(value: Json, _: Scope) -> Iterable[Row]:
    """An amount of Money, whose unit is its currency"""
    stated = value.get("value")
    if stated is None:
        return ()
    amount, currency = _float(stated), value.get("currency", "")
    return ((amount, amount, CURRENCY if currency else "", currency, None),)


# --- others


def read_resource(value: Json, _: Scope) -> Iterable[Row]:
    """(type, id, None, None) of a resource inside a Bundle"""
    type_, id_ = value.get("resourceType"), value.get("id")
    return ((type_, id_, None, None),) if type_ and id_ else ()


def read_position(value: Json, _: Scope) -> Iterable[Row]:
    """(latitude, longitude)"""
    latitude, longitude = value.get("latitude"), value.get("longitude")
    return ((_float(latitude), _float(longitude)),) if latitude is not None and longitude is not None else ()
