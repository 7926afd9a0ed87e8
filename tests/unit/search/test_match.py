"""The in-memory matcher on single resources, without a store; the storage suite covers it together with the engines."""

from dataclasses import dataclass

import pytest

from fhir_server.model.keys import ResourceKey
from fhir_server.search import query as q
from fhir_server.search.entries import IndexEntries
from fhir_server.search.match import NoLookup, matches, matching_contained

KEY = ResourceKey("Observation", "o")


@dataclass(frozen=True)
class Stub:
    key: ResourceKey = KEY
    last_updated: int = 1_000


ENTRIES = IndexEntries(
    tokens=[
        ("code", "urn:s", "c"),
        ("flag", None, "x"),
        ("subject:identifier", "urn:i", "7"),
        ("id:of-type", "t|MR", "9"),
    ],
    strings=[("name", "jose maria", "José-María"), ("code:text", "body weight", "Body Weight")],
    dates=[("when", 100, 200)],
    numbers=[("n", 5.0, 5.0), ("range", 1.0, float("inf"))],
    quantities=[("q", 5.0, 5.0, "urn:u", "mg", (0.005, 0.005, "gram")), ("plain", 3.0, 3.0, "", "puffs", None)],
    uris=[("url", "http://a/b")],
    references=[
        ("subject", "Patient", "p", None, "3"),
        ("focus", None, None, "http://x/1", "2"),
        ("part", "#", "in", None, None),
    ],
    composites=[
        ("c", (("token", "urn:s", "a"), ("number", 1.0, 1.0))),
        ("c", (("token", "urn:s", "b"), ("number", 2.0, 2.0))),
    ],
    positions=[("near", 0.0, 0.0)],
    contained=[
        ("Patient", "in", IndexEntries(tokens=[("gender", None, "male")])),
        ("Device", "in2", IndexEntries(references=[("patient", "#", "in", None, None)])),
    ],
)


def holds(node: q.Node) -> bool:
    return matches(node, Stub(), ENTRIES, NoLookup())


def token(param: str, system: str | None, code: str | None) -> q.Token:
    return q.Token(param, (q.TokenValue(system, code),))


GRAMS = q.NumberValue(q.Prefix.EQ, 0.005, 0.0045, 0.0055)


def number(prefix: str, value: float) -> q.NumberValue:
    return q.NumberValue(q.Prefix(prefix), value, value - 0.5, value + 0.5)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (q.EVERYTHING, True),
        (q.NOTHING, False),
        (q.Not(q.NOTHING), True),
        (token("code", None, "c"), True),
        (token("code", "urn:s", "c"), True),
        (token("code", "urn:s", None), True),
        (token("code", "", "c"), False),
        (token("code", "urn:t", "c"), False),
        (token("flag", "", "x"), True),
        (token("flag", "urn:s", "x"), False),
        (q.Token("code", ()), False),
        (q.ReferenceIdentifier("subject", (q.TokenValue("urn:i", "7"),)), True),
        (q.OfType("id", (("t", "MR", "9"),)), True),
        (q.OfType("id", (("t", "MR", "8"),)), False),
        (q.TokenText("code", ("wei bo",)), True),
        (q.TokenText("code", ("eight",)), False),
        (q.String("name", q.StringMode.STARTS, ("jose",)), True),
        (q.String("name", q.StringMode.STARTS, ("maria",)), False),
        (q.String("name", q.StringMode.CONTAINS, ("maria",)), True),
        (q.String("name", q.StringMode.ENDS, ("maria",)), True),
        (q.String("name", q.StringMode.EQUALS, ("jose maria",)), True),
        (q.String("name", q.StringMode.EQUALS, ("jose",)), False),
        (q.String("name", q.StringMode.EXACT, ("José-María",)), True),
        (q.String("name", q.StringMode.EXACT, ("jose maria",)), False),
        (q.Uri("url", q.StringMode.EXACT, ("http://a/b",)), True),
        (q.Uri("url", q.StringMode.BELOW, ("http://a",)), True),
        (q.Uri("url", q.StringMode.BELOW, ("http://a/",)), True),
        (q.Uri("url", q.StringMode.BELOW, ("http:/",)), True),
        (q.Uri("url", q.StringMode.BELOW, ("http://a/bc",)), False),
        (q.Uri("url", q.StringMode.ABOVE, ("http://a/b/c",)), True),
        (q.Uri("url", q.StringMode.ABOVE, ("http://a/bc",)), False),
        (q.Date("when", (q.DateValue(q.Prefix.EQ, 100, 200),)), True),
        (q.Date("when", (q.DateValue(q.Prefix.EQ, 101, 200),)), False),
        (q.LastUpdated((q.DateValue(q.Prefix.EQ, 1_000_000, 1_001_000),)), True),
        (q.LastUpdated((q.DateValue(q.Prefix.GT, 1_000_000, 1_001_000),)), False),
        (q.Number("n", (number("eq", 5),)), True),
        (q.Number("range", (number("gt", 1e9),)), True),
        (q.Number("range", (number("eq", 1),)), False),
        (q.Quantity("q", (q.QuantityValue(number("eq", 5), "", ""),)), True),
        (q.Quantity("q", (q.QuantityValue(number("eq", 5), "", "mg"),)), True),
        (q.Quantity("q", (q.QuantityValue(number("eq", 5), "urn:u", "mg"),)), True),
        (q.Quantity("q", (q.QuantityValue(number("eq", 5), "urn:other", "mg"),)), False),
        (q.Quantity("q", (q.QuantityValue(number("eq", 9), "urn:u", "g", (GRAMS, "gram")),)), True),
        (q.Quantity("q", (q.QuantityValue(number("eq", 5), "urn:u", "m", (number("eq", 5), "meter")),)), False),
        (q.Quantity("plain", (q.QuantityValue(number("eq", 3), "", "puffs"),)), True),
        (q.Reference("subject", (q.ReferenceValue("Patient", "p"),)), True),
        (q.Reference("subject", (q.ReferenceValue("Group", "p"),)), False),
        (q.Reference("subject", (q.ReferenceValue(None, "p"),), ("Patient", "Group")), True),
        (q.Reference("subject", (q.ReferenceValue(None, "p"),), ("Group",)), False),
        (q.Reference("subject", (q.ReferenceValue(None, "p"),)), True),
        (q.Reference("subject", (q.ReferenceValue("Patient", "p", None, "3"),)), True),
        (q.Reference("subject", (q.ReferenceValue("Patient", "p", None, "4"),)), False),
        (q.Reference("part", (q.ReferenceValue(None, "in"),)), False),
        (q.Reference("focus", (q.ReferenceValue(url="http://x/1"),)), True),
        (q.Reference("focus", (q.ReferenceValue(url="http://x/1", version="2"),)), True),
        (q.Reference("focus", (q.ReferenceValue(url="http://x/1", version="1"),)), False),
        (q.Composite("c", ((token("0", None, "a"), q.Number("1", (number("eq", 1),))),)), True),
        (q.Composite("c", ((token("0", None, "a"), q.Number("1", (number("eq", 2),))),)), False),
        (q.Near("near", 0.0, 0.001, 200), True),
        (q.Near("near", 0.0, 0.001, 100), False),
        (q.Missing("code", False), True),
        (q.Missing("code", True), False),
        (q.Missing("nothing", True), True),
        (q.Missing("id", False), True),
        (q.Ids(("o",)), True),
        (q.Ids(("x",)), False),
        (q.Chain("part", "Patient", token("gender", None, "male")), True),
        (q.Chain("part", "Patient", token("gender", None, "female")), False),
        (q.Chain("part", "Device", q.EVERYTHING), False),
        (q.Chain("subject", "Patient", q.EVERYTHING), False),
    ],
    ids=lambda value: str(value)[:90],
)  # fmt: skip
def test_a_node_holds_or_not(node: q.Node, expected: bool) -> None:
    assert holds(node) is expected
    assert holds(q.Not(node)) is not expected


def test_contained_resources_are_matched_by_their_own_entries() -> None:
    male = token("gender", None, "male")
    assert matching_contained(male, "Patient", Stub(), ENTRIES, NoLookup()) == ["in"]
    assert matching_contained(male, "Device", Stub(), ENTRIES, NoLookup()) == []
    assert matching_contained(q.Ids(("in2",)), "Device", Stub(), ENTRIES, NoLookup()) == ["in2"]


def test_contained_resources_refer_to_one_another() -> None:
    node = q.Chain("patient", "Patient", token("gender", None, "male"))
    assert matching_contained(node, "Device", Stub(), ENTRIES, NoLookup()) == ["in2"]
