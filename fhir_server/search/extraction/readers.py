"""Readers: the index values in one element, for each kind of search parameter and FHIR type.

A reader takes the JSON of the element and a `Scope` and gives tuples as `IndexEntries` has them, without the code of
the parameter. The tables of what a parameter of some kind finds in an element of some type are those of
https://hl7.org/fhir/R4/search.html#ptypes.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, tzinfo
from typing import Any

from fhir_server.search.dates import EARLIEST, LATEST, date_bounds
from fhir_server.search.folding import fold
from fhir_server.search.units import UCUM, canonical_quantity

Json = Any
Row = tuple[Any, ...]
Scope = tuple[str, Mapping[str, str]]
"""The base URL of this server ("" when not known) and the types of the contained resources by local id."""
Reader = Callable[[Json, Scope], Iterable[Row]]
ReferenceRow = tuple[str | None, str | None, str | None, str | None]

FAMILY = ("string", "HumanName.family")
"""The reading of a family name, a string of which every word is found."""

CURRENCY = "urn:iso:std:iso:4217"
_INFINITY = float("inf")
_MEMO = 20_000
_MOST_WORDS = 8
_UNREAD = (0, 0)
_RELATIVE = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/([A-Za-z0-9\-.]{1,64}))?", re.ASCII)

_URIS = ("uri", "url", "canonical", "oid", "uuid")
_QUANTITIES = ("Quantity", "Age", "Count", "Distance", "Duration", "MoneyQuantity", "SimpleQuantity")
_DATES = ("date", "dateTime", "instant")
_NUMBERS = ("integer", "positiveInt", "unsignedInt", "decimal")
_TEXTS = ("string", "markdown", "code", "id", *_URIS)
_NAME = ("text", "given", "prefix", "suffix")
_ADDRESS = ("text", "line", "city", "district", "state", "postalCode", "country")


class Readers:
    """The readers, with the memos that they share: bounded, and emptied when full.

    `dates`, `references` and `folded` hold what was read before, for generated code to look at first.
    """

    def __init__(self, zone: tzinfo = UTC) -> None:
        self._zone = zone
        self.dates: dict[str, tuple[int, int] | None] = {}
        self.references: dict[str, ReferenceRow] = {}
        self.folded: dict[str, tuple[str, str]] = {}
        self._readers = self._table()

    def reader(self, kind: str, type_: str) -> Reader | None:
        """Return the reader for a kind of parameter (`special` is a position) and a FHIR type; None: finds nothing."""
        return self._readers.get((kind, type_))

    def _table(self) -> Mapping[tuple[str, str], Reader]:
        table: dict[tuple[str, str], Reader] = {
            ("token", "CodeableConcept"): read_concept,
            ("token", "Coding"): read_coding,
            ("token", "Identifier"): read_identifier,
            ("token", "ContactPoint"): read_contact_token,
            ("token", "boolean"): read_boolean,
            ("string", "HumanName"): self.read_name,
            FAMILY: self.read_family,
            ("string", "Address"): self._parts(_ADDRESS),
            ("string", "ContactPoint"): self._parts(("value",)),
            ("string", "Identifier"): self._parts(("value",)),
            ("string", "Annotation"): self._parts(("text",)),
            ("string", "Coding"): self._parts(("display",)),
            ("string", "CodeableConcept"): self.read_concept_string,
            ("date", "Period"): self.read_period,
            ("date", "Timing"): self.read_timing,
            ("number", "Range"): read_number_range,
            ("quantity", "Money"): read_money,
            ("quantity", "Range"): read_range,
            ("reference", "Reference"): self.read_reference,
            ("reference", "Resource"): read_resource,
            ("special", "Location.position"): read_position,
            ("text", "CodeableConcept"): self.read_concept_text,
            ("text", "Coding"): self.read_display,
            ("text", "Reference"): self.read_display,
            ("text", "Identifier"): self.read_identifier_text,
        }
        table |= {("token", t): read_plain for t in (*_TEXTS, *_DATES, *_NUMBERS, "time")}
        table |= {("token", t): read_string_token for t in ("string", "markdown")}
        table |= {("string", t): self.read_string for t in _TEXTS}
        table |= {("date", t): self.read_date for t in _DATES}
        table |= {("number", t): read_number for t in _NUMBERS}
        table |= {("quantity", t): read_quantity for t in _QUANTITIES}
        table |= {("uri", t): read_uri for t in (*_TEXTS,)}
        return table | {("reference", t): self.read_canonical for t in (*_URIS, "string")}

    # --- strings

    def read_string(self, value: Json, _: Scope) -> Iterable[Row]:
        """(folded, original); blank text is nothing."""
        row = self.folded.get(value)
        if row is None:
            row = (self.fold(value), value)
        return (row,) if row[0] else ()

    def fold(self, text: str) -> str:
        """Return the folded form, remembered."""
        folded = fold(text)
        _remember(self.folded, text, (folded, text))
        return folded

    def read_family(self, value: Json, scope: Scope) -> Iterable[Row]:
        """A family name, and what follows each blank in it: "Quinones" finds "Carreno Quinones".

        Spec: https://hl7.org/fhir/R4/search.html#string
        """
        rows = tuple(self.read_string(value, scope))
        if not rows or " " not in rows[0][0]:
            return rows
        words = rows[0][0].split()
        return [(" ".join(words[start:]), value) for start in range(min(len(words), _MOST_WORDS))]

    def read_name(self, value: Json, scope: Scope) -> Iterator[Row]:
        """All parts of a HumanName."""
        yield from self._parts(_NAME)(value, scope)
        if value.get("family") is not None:
            yield from self.read_family(value["family"], scope)

    def _parts(self, names: tuple[str, ...]) -> Reader:
        def read(value: Json, scope: Scope) -> Iterator[Row]:
            for name in names:
                part = value.get(name)
                if part is not None:
                    for text in part if isinstance(part, list) else (part,):
                        if text is not None:
                            yield from self.read_string(text, scope)

        return read

    def read_concept_string(self, value: Json, scope: Scope) -> Iterator[Row]:
        """The text and the displays of a CodeableConcept."""
        for holder, name in ((value, "text"), *((coding, "display") for coding in value.get("coding", ()))):
            if name in holder:
                yield from self.read_string(holder[name], scope)

    # --- what `:text` searches: (folded, ""), as nobody asks for the original

    def read_display(self, value: Json, scope: Scope) -> Iterable[Row]:
        """The display of a Coding or a Reference."""
        text = value.get("display")
        return [(folded, "") for folded, _ in self.read_string(text, scope)] if text else ()

    def read_concept_text(self, value: Json, scope: Scope) -> Iterable[Row]:
        """The text and the displays of a CodeableConcept, once where they are the same."""
        found = dict.fromkeys(folded for folded, _ in self.read_concept_string(value, scope))
        return [(folded, "") for folded in found]

    def read_identifier_text(self, value: Json, scope: Scope) -> Iterable[Row]:
        """The text of the type of an Identifier."""
        text = (value.get("type") or {}).get("text")
        return [(folded, "") for folded, _ in self.read_string(text, scope)] if text else ()

    # --- dates

    def date(self, text: str) -> tuple[int, int] | None:
        """Return the bounds of a date, remembered; None if there is no such date."""
        try:
            bounds = date_bounds(text, self._zone)
        except ValueError:
            bounds = None
        _remember(self.dates, text, bounds)
        return bounds

    def _date(self, text: str | None) -> tuple[int, int] | None:
        if text is None:
            return None
        bounds = self.dates.get(text, _UNREAD)
        return self.date(text) if bounds is _UNREAD else bounds

    def read_date(self, value: Json, _: Scope) -> Iterable[Row]:
        """(low, high)"""
        bounds = self._date(value)
        return (bounds,) if bounds else ()

    def read_period(self, value: Json, _: Scope) -> Iterable[Row]:
        """(low, high), where a missing end is open; nothing if both are missing."""
        start, end = self._date(value.get("start")), self._date(value.get("end"))
        if start is None and end is None:
            return ()
        return ((start[0] if start else EARLIEST, end[1] if end else LATEST),)

    def read_timing(self, value: Json, scope: Scope) -> Iterable[Row]:
        """The outer limits of the events and the bounds; what happens in between does not matter."""
        spans = [bounds for event in value.get("event", ()) if (bounds := self._date(event))]
        repeat = value.get("repeat") or {}
        spans += self.read_period(repeat.get("boundsPeriod") or {}, scope)
        return ((min(low for low, _ in spans), max(high for _, high in spans)),) if spans else ()

    # --- references

    def reference(self, text: str, scope: Scope) -> tuple[ReferenceRow, str | None]:
        """Return the row of a literal reference and the type of its target, None where that cannot be known.

        Relative ones, and absolute ones under the server's own base, are (type, id, None, version); `#id` is
        ("#", id, None, None); everything else is (None, None, url, None).

        Spec: https://hl7.org/fhir/R4/references.html#literal
        """
        known = self.references.get(text)
        if known is not None:
            return known, known[0]
        base, local = scope
        if text.startswith("#") and text != "#":
            return ("#", text[1:], None, None), local.get(text[1:])
        own = text.removeprefix(base.rstrip("/") + "/") if base else text
        if found := _RELATIVE.fullmatch(own):
            row: ReferenceRow = (found[1], found[2], None, found[3])
            if own is text:
                _remember(self.references, text, row)
            return row, found[1]
        return (None, None, text, None), _type_in_url(text)

    def read_reference(self, value: Json, scope: Scope) -> Iterable[Row]:
        """(type, id, url, version)"""
        text = value.get("reference")
        return (self.reference(text, scope)[0],) if text else ()

    def read_canonical(self, value: Json, scope: Scope) -> Iterable[Row]:
        """As a Reference; the version of a canonical stands apart from its URL."""
        row, _ = self.reference(value, scope)
        if row[2] is None:
            return (row,)
        url, _, version = value.partition("|")
        return ((None, None, url, version or None),)


def _remember(memo: dict[str, Any], key: str, value: object) -> None:
    if len(memo) >= _MEMO:
        memo.clear()
    if len(key) <= 256:
        memo[key] = value


def _type_in_url(url: str) -> str | None:
    """Return the type in `http://elsewhere/fhir/Patient/1`; None for `urn:uuid:...` and anything else."""
    found = re.search(r"/" + _RELATIVE.pattern + r"\Z", url) if "://" in url else None
    return found[1] if found else None


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
        return _INFINITY if value > 0 else -_INFINITY


def read_number(value: Json, _: Scope) -> Iterable[Row]:
    """(value, value)"""
    number = _float(value)
    return ((number, number),)


def read_number_range(value: Json, _: Scope) -> Iterable[Row]:
    """(low, high) of a Range, whatever its unit"""
    low, high = (value.get("low") or {}).get("value"), (value.get("high") or {}).get("value")
    if low is None and high is None:
        return ()
    return ((-_INFINITY if low is None else _float(low), _INFINITY if high is None else _float(high)),)


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
        "<": (-_INFINITY, _below(value)),
        "<=": (-_INFINITY, value),
        ">=": (value, _INFINITY),
        ">": (-_below(-value), _INFINITY),
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
