"""Random index entries and searches, for comparing the SQLite engine with the reference engine.

Values come from small sets, so that most searches match something and most sort keys have ties.
"""

import json
from dataclasses import replace
from random import Random
from typing import Any

from fhir_server.model.json import make_body
from fhir_server.model.keys import ResourceKey
from fhir_server.search import query as q
from fhir_server.search.entries import IndexEntries, ReferenceEntry
from fhir_server.search.folding import fold
from fhir_server.storage.base import Change

TYPES = ("Patient", "Observation", "Encounter")
IDS = ("a", "b", "c", "d", "e", "f", "g")
CODES = ("x", "y", "z")
WORDS = ("Smith", "smithson", "José", "jose", "Müller", "O'Brien", "Zoë x", "anna", "an")
URLS = ("http://a/b", "http://a/b/c", "http://a/", "http://a", "urn:x:1", "http://a/bc")
UNITS = (("u", "kg", 1000.0, "g"), ("u", "g", 1.0, "g"), ("u", "mm", None, ""), ("", "kg", None, ""))
TEXTS = ("alpha beta", "beta alpha", "gamma", "alpha gamma", "beta", "<b>alpha</b> beta gamma", "")
QUERIES = ("alpha", "alp*", "alpha beta", "alpha OR gamma", "NOT beta", '"alpha beta"', "(alpha OR NOT beta) gamma")
NUMBERS = (0.0, 1.0, 2.0, 2.5, 3.0, 70.0)
HALF_DAY = 43_200_000_000
START = 1_700_000_000_000
SORTABLE = ("_id", "_lastUpdated", "date", "birthdate", "code", "name", "length", "value", "url", "subject", "nosuch")


class Dice:
    """Throws everything that a test needs, the same again for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def pick(self, *choices: Any) -> Any:
        """Return one of the choices."""
        return self.random.choice(choices)

    def chance(self, part: float) -> bool:
        """Return True in so many cases."""
        return self.random.random() < part

    def some(self, make: Any, most: int = 3) -> tuple[Any, ...]:
        """Return a few values."""
        return tuple(make() for _ in range(self.pick(1, 1, 1, 2, most)))

    # --- what is stored

    def change(self) -> Change:
        """Write or delete one of a few resources."""
        key = ResourceKey(self.pick(*TYPES), self.pick(*IDS))
        if self.chance(0.15):
            return Change(key, "DELETE")
        resource: dict[str, Any] = {"resourceType": key.type, "id": key.id, "n": self.random.randint(0, 10**9)}
        if self.chance(0.7):
            resource["text"] = {"status": "generated", "div": f"<div>{self.pick(*TEXTS)}</div>"}
        resource["note"] = self.pick(*TEXTS)
        body = make_body(json.dumps(resource, separators=(",", ":")).encode(), key)
        return Change(key, "PUT", body, self.entries())

    def entries(self) -> IndexEntries:
        """Entries of a resource with contained ones."""
        found = self._own_entries()
        found.contained = [(self.pick(*TYPES), id_, self._own_entries()) for id_ in ("k1", "k2") if self.chance(0.3)]
        local = {id_ for _, id_, _ in found.contained}
        for each in (found, *(inner for _, _, inner in found.contained)):
            each.references = [entry for entry in each.references if entry[1] != "#" or entry[2] in local]
        return found

    def _own_entries(self) -> IndexEntries:
        found = IndexEntries()
        for _ in range(self.pick(0, 1, 1, 2, 3)):
            found.tokens += [(param, *self.token()) for param in ("code", "status", "subject:identifier")]
            found.tokens.append(("identifier:of-type", "sys|t", self.pick(*CODES)))
            text = self.pick(*WORDS) + self.pick("", f" {self.pick(*WORDS)}")
            found.strings += [(param, fold(text), text) for param in ("name", "family", "code:text")]
            found.dates += [(param, *self.time()) for param in ("date", "birthdate")]
            found.positions.append(("near", self.pick(0.0, 10.0, 10.01, 89.0), self.pick(0.0, 179.0, -179.0)))
        for _ in range(self.pick(0, 1, 1, 2)):
            number = self.pick(*NUMBERS)
            found.numbers.append(("length", number, number + self.pick(0, 0, 1)))
            found.quantities.append(("value", *self.quantity(self.pick(0, 0, 2))))
            found.uris.append(("url", self.pick(*URLS)))
            found.references += [self.reference("subject"), self.reference("link")]
            found.composites += self._composites()
        return found

    def _composites(self) -> list[tuple[str, tuple[tuple[object, ...], ...]]]:
        word = self.pick(*WORDS)
        token = ("token", *self.token())
        return [
            ("cq", (token, ("quantity", *self.quantity(0)))),
            ("cd", (token, ("date", *self.time()))),
            ("cs", (("string", fold(word), word), ("reference", *self.reference("")[1:]))),
            ("cn", (("uri", self.pick(*URLS)), ("number", 1.0, 1.0), token)),
        ]

    def token(self) -> tuple[str | None, str]:
        """Return system and code."""
        return self.pick(None, "s", "t"), self.pick(*CODES)

    def time(self) -> tuple[int, int]:
        """Return an interval of half a day to two weeks."""
        low = self.random.randint(0, 6) * 10
        return low * HALF_DAY, (low + self.pick(1, 5, 10, 30)) * HALF_DAY

    def quantity(self, width: int) -> Any:
        """Return a quantity entry without its parameter."""
        system, code, factor, base = self.pick(*UNITS)
        low, high = (number := self.pick(*NUMBERS)), number + width
        return low, high, system, code, None if factor is None else (low * factor, high * factor, base)

    def reference(self, param: str) -> ReferenceEntry:
        """Return a reference entry of any kind."""
        if self.chance(0.1):
            return param, "#", self.pick("k1", "k2"), None, None
        if self.chance(0.1):
            return param, None, None, self.pick(*URLS), self.pick(None, None, "1")
        return param, self.pick(*TYPES), self.pick(*IDS), None, self.pick(None, None, None, "1", "2")

    # --- what is asked

    def search(self) -> q.Search:
        """Return a search of any kind."""
        types = self.random.sample(TYPES, self.pick(1, 1, 1, 2, 3))
        branches = {type_: q.And(tuple(self.node() for _ in range(self.pick(0, 1, 1, 2, 3)))) for type_ in types}
        keys = (q.SortKey(self.pick(*SORTABLE), self.chance(0.5)) for _ in range(self.pick(0, 0, 1, 1, 2, 3)))
        includes = (self._include() for _ in range(self.pick(0, 0, 1, 2)))
        seen = q.Visibility() if self.chance(0.7) else q.Visibility(self.node(2), {"Patient": self.node(2)})
        contained = self.pick(*[q.Contained.FALSE] * 4, q.Contained.TRUE, q.Contained.BOTH)
        total = self.pick(*q.Total)
        return q.Search(branches, tuple(keys), self.pick(1, 2, 3, 50), total, tuple(includes), contained, None, seen)

    def _include(self) -> q.Include:
        param, target = self.pick("subject", "link", "*"), self.pick(None, None, *TYPES)
        return q.Include(self.pick(*TYPES, "*"), param, target, self.chance(0.5), self.chance(0.4))

    def node(self, depth: int = 0) -> q.Node:
        """Return a tree."""
        if depth > 3 or self.chance(0.55):
            return self.leaf()
        parts = tuple(self.node(depth + 1) for _ in range(self.pick(1, 2, 3)))
        kind = self.pick(q.And, q.Or, q.Not, q.Chain, q.Has)
        if kind is q.Chain:
            return q.Chain(self.pick("subject", "link"), self.pick(*TYPES), parts[0])
        if kind is q.Has:
            return q.Has(self.pick(*TYPES), self.pick("subject", "link"), parts[0])
        return q.Not(parts[0]) if kind is q.Not else kind(parts if self.chance(0.9) else ())

    def leaf(self) -> q.Leaf:
        """Return a leaf of any kind."""
        leaf: q.Leaf = self.pick(
            self._token, self._text, self._of_type, self._string, self._uri, self._date, self._number, self._quantity,
            self._reference, self._identifier, self._composite, self._near, self._missing, self._ids, self._updated,
            self._full_text,
        )()  # fmt: skip
        return leaf

    def _token_value(self) -> q.TokenValue:
        system = self.pick(None, "", "s", "t", "nosuch")
        return q.TokenValue(system, None if system and self.chance(0.3) else self.pick(*CODES, "nosuch"))

    def _token(self) -> q.Leaf:
        return q.Token(self.pick("code", "status", "nosuch"), self.some(self._token_value))

    def _text(self) -> q.Leaf:
        return q.TokenText("code", self.some(lambda: fold(self.pick(*WORDS))[: self.random.randint(2, 5)]))

    def _of_type(self) -> q.Leaf:
        return q.OfType("identifier", self.some(lambda: ("sys", self.pick("t", "w"), self.pick(*CODES))))

    def _string(self) -> q.Leaf:
        mode = self.pick(*(mode for mode in q.StringMode if mode not in (q.StringMode.BELOW, q.StringMode.ABOVE)))

        def value() -> str:
            word: str = self.pick(*WORDS)
            return word if mode is q.StringMode.EXACT else fold(word)[self.pick(0, 0, 1) : self.random.randint(2, 5)]

        return q.String(self.pick("name", "family"), mode, self.some(value))

    def _uri(self) -> q.Leaf:
        mode = self.pick(q.StringMode.EXACT, q.StringMode.BELOW, q.StringMode.ABOVE)
        return q.Uri("url", mode, self.some(lambda: self.pick(*URLS) + self.pick("", "", "/")))

    def _date_value(self) -> q.DateValue:
        return q.DateValue(self.pick(*q.Prefix), *self.time())

    def _date(self) -> q.Leaf:
        return q.Date(self.pick("date", "birthdate"), self.some(self._date_value))

    def _number_value(self) -> q.NumberValue:
        value, width = self.pick(*NUMBERS), self.pick(0.5, 0.05)
        return q.NumberValue(self.pick(*q.Prefix), value, value - width, value + width)

    def _number(self) -> q.Leaf:
        return q.Number("length", self.some(self._number_value))

    def _quantity_value(self) -> q.QuantityValue:
        number, (system, code, factor, base) = self._number_value(), self.pick(*UNITS)
        if factor is None or self.chance(0.2):
            return q.QuantityValue(number, self.pick(system, ""), self.pick(code, code, ""))
        bounds = (bound * factor for bound in (number.value, number.low, number.high))
        return q.QuantityValue(number, system, code, (q.NumberValue(number.prefix, *bounds), base))

    def _quantity(self) -> q.Leaf:
        return q.Quantity("value", self.some(self._quantity_value))

    def _reference_value(self) -> q.ReferenceValue:
        version = self.pick(None, None, None, "1", "2")
        if self.chance(0.2):
            return q.ReferenceValue(url=self.pick(*URLS), version=self.pick(None, "1"))
        return q.ReferenceValue(self.pick(None, *TYPES), self.pick(*IDS, "nosuch"), None, version)

    def _reference(self) -> q.Leaf:
        targets = self.pick((), ("Patient",), ("Patient", "Encounter"))
        return q.Reference(self.pick("subject", "link"), self.some(self._reference_value), targets)

    def _identifier(self) -> q.Leaf:
        return q.ReferenceIdentifier("subject", self.some(self._token_value))

    def _composite(self) -> q.Leaf:
        param = self.pick("cq", "cd", "cs", "cn")
        return q.Composite(param, tuple(self._components(param) for _ in range(self.pick(1, 2))))

    def _components(self, param: str) -> tuple[q.Leaf, ...]:
        token = q.Token("0", self.some(self._token_value, 1))
        if param == "cq":
            return token, q.Quantity("1", self.some(self._quantity_value, 1))
        if param == "cd":
            return token, q.Date("1", self.some(self._date_value, 1))
        if param == "cs":
            whole = tuple(replace(value, version=None) for value in self.some(self._reference_value, 1))
            return q.String("0", q.StringMode.CONTAINS, (fold(self.pick(*WORDS))[:3],)), q.Reference("1", whole, ())
        number = q.Number("1", self.some(self._number_value, 1))
        return q.Uri("0", q.StringMode.EXACT, (self.pick(*URLS),)), number, replace(token, param="2")

    def _near(self) -> q.Leaf:
        return q.Near(
            "near", self.pick(0.0, 10.0, 89.0), self.pick(0.0, 179.9), self.pick(10.0, 2000.0, 500_000.0, 3e7)
        )

    def _missing(self) -> q.Leaf:
        return q.Missing(self.pick("code", "name", "date", "subject", "value", "nosuch", "url", "cq"), self.chance(0.5))

    def _ids(self) -> q.Leaf:
        return q.Ids(tuple(self.pick(*IDS, "k1") for _ in range(self.pick(1, 2, 3))))

    def _updated(self) -> q.Leaf:
        low = START * 1000 + self.random.randint(0, 12) * 5000
        return q.LastUpdated(
            self.some(lambda: q.DateValue(self.pick(*q.Prefix), low, low + self.pick(100, 1000, 5000)))
        )

    def _full_text(self) -> q.Leaf:
        return q.FullText(self.chance(0.5), self.pick(*QUERIES))
