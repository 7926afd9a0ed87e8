"""Readers: what reads an element, by kind of search parameter and FHIR type; some remember what they have read."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, tzinfo
from typing import Any

from fhir_server.search.dates import EARLIEST, LATEST, date_bounds
from fhir_server.search.extraction import elements
from fhir_server.search.extraction.elements import Json, Reader, Row, Scope
from fhir_server.search.folding import fold

ReferenceRow = tuple[str | None, str | None, str | None, str | None]

FAMILY = ("string", "HumanName.family")
"""The reading of a family name, a string of which every word is found."""

_MEMO = 20_000
_MOST_WORDS = 8
_UNREAD = (0, 0)
_RELATIVE = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/([A-Za-z0-9\-.]{1,64}))?", re.ASCII)

_URIS = ("uri", "url", "canonical", "oid", "uuid")
_QUANTITIES = ("Quantity", "Age", "Count", "Distance", "Duration", "MoneyQuantity", "SimpleQuantity")
_DATES = ("date", "dateTime")
_TIMES = (*_DATES, "instant")
_NUMBERS = ("integer", "positiveInt", "unsignedInt", "decimal")
_TEXTS = ("string", "markdown", "code", "id", *_URIS)
_NAME = ("text", "given", "prefix", "suffix")
_ADDRESS = ("text", "line", "city", "district", "state", "postalCode", "country")


_PLAIN: Mapping[tuple[str, str], Reader] = {
    **{("token", type_): elements.read_plain for type_ in (*_TEXTS, *_TIMES, *_NUMBERS, "time")},
    **{("token", type_): elements.read_string_token for type_ in ("string", "markdown")},
    ("token", "CodeableConcept"): elements.read_concept,
    ("token", "Coding"): elements.read_coding,
    ("token", "Identifier"): elements.read_identifier,
    ("token", "ContactPoint"): elements.read_contact_token,
    ("token", "boolean"): elements.read_boolean,
    **{("number", type_): elements.read_number for type_ in _NUMBERS},
    ("number", "Range"): elements.read_number_range,
    **{("quantity", type_): elements.read_quantity for type_ in _QUANTITIES},
    ("quantity", "Money"): elements.read_money,
    ("quantity", "Range"): elements.read_range,
    **{("uri", type_): elements.read_uri for type_ in _TEXTS},
    ("reference", "Resource"): elements.read_resource,
    ("special", "Location.position"): elements.read_position,
}
"""The readers that remember nothing."""


class Readers:
    """The readers, with the memos that they share: bounded, and emptied when full.

    `dates`, `references` and `folded` hold what was read before, for generated code to look at first.
    """

    def __init__(self, zone: tzinfo = UTC) -> None:
        self._zone = zone
        self.dates: dict[str, tuple[int, int] | None] = {}
        self.references: dict[str, ReferenceRow] = {}
        self.folded: dict[str, tuple[str, str]] = {}
        self._readers = {**_PLAIN, **self._bound()}

    def reader(self, kind: str, type_: str) -> Reader | None:
        """Return the reader for a kind of parameter (`special` is a position) and a FHIR type; None: finds nothing."""
        return self._readers.get((kind, type_))

    def _bound(self) -> Mapping[tuple[str, str], Reader]:
        """The readers that remember."""
        table: dict[tuple[str, str], Reader] = {
            ("string", "HumanName"): self.read_name,
            FAMILY: self.read_family,
            ("string", "Address"): self._parts(_ADDRESS),
            ("string", "ContactPoint"): self._parts(("value",)),
            ("string", "Identifier"): self._parts(("value",)),
            ("string", "Annotation"): self._parts(("text",)),
            ("string", "Coding"): self._parts(("display",)),
            ("string", "CodeableConcept"): self.read_concept_string,
            ("date", "instant"): self.read_instant,
            ("date", "Period"): self.read_period,
            ("date", "Timing"): self.read_timing,
            ("reference", "Reference"): self.read_reference,
            ("text", "CodeableConcept"): self.read_concept_text,
            ("text", "Coding"): self.read_display,
            ("text", "Reference"): self.read_display,
            ("text", "Identifier"): self.read_identifier_text,
        }
        table |= {("string", type_): self.read_string for type_ in _TEXTS}
        table |= {("date", type_): self.read_date for type_ in _DATES}
        return table | {("reference", type_): self.read_canonical for type_ in (*_URIS, "string")}

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

    def read_instant(self, value: Json, _: Scope) -> Iterable[Row]:
        """(low, high) of an instant: a point, as narrow as bounds can be, whether or not it has fractions of a second.

        Spec: https://hl7.org/fhir/R4/search.html#date
        """
        bounds = self._date(value)
        return ((bounds[0], bounds[0] + 1),) if bounds else ()

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
