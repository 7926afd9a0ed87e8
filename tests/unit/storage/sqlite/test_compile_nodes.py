"""What each node of the search tree finds, on a store of a few resources."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from fhir_server.search import query as q
from fhir_server.search.entries import IndexEntries
from fhir_server.search.query import Prefix, StringMode
from fhir_server.storage.sqlite.store import SqliteStore
from tests.unit.storage.sqlite.kit import FAST, START, Clock, delete, opened, put

DAY = 86_400_000_000
UCUM = "http://unitsofmeasure.org"

ANNA = IndexEntries(
    tokens=[("gender", "g", "female"), ("identifier", "mrn", "1"), ("identifier:of-type", "v2|MR", "1")],
    strings=[("name", "anna", "Anna"), ("name", "lindgren", "Lindgren"), ("gender:text", "a woman", "")],
    dates=[("birthdate", 100 * DAY, 101 * DAY)],
    positions=[("near", 52.5, 13.4)],
)
BERT = IndexEntries(
    tokens=[("gender", "g", "male"), ("identifier", None, "1"), ("tag", "t", "vip")],
    strings=[("name", "bert", "Bert"), ("name", "obrien", "O'Brien")],
    dates=[("birthdate", 200 * DAY, 201 * DAY), ("birthdate", 10 * DAY, 11 * DAY)],
    references=[("organization", "Organization", "o", None, None)],
)
KILO = IndexEntries(
    tokens=[("code", "loinc", "weight"), ("subject:identifier", "mrn", "1")],
    references=[("subject", "Patient", "anna", None, None), ("derived", None, None, "http://x/q", "2")],
    quantities=[("value", 70.0, 70.0, UCUM, "kg", (70_000.0, 70_000.0, "g"))],
    composites=[
        ("code-value", (("token", "loinc", "weight"), ("quantity", 70.0, 70.0, UCUM, "kg", (70_000.0, 70_000.0, "g"))))
    ],
    uris=[("profile", "http://x/a/b")],
    numbers=[("score", 3.0, 3.0)],
)
POUND = IndexEntries(
    tokens=[("code", "loinc", "height")],
    references=[("subject", "Patient", "bert", None, "1"), ("device", "#", "d", None, None)],
    quantities=[("value", 5.0, 9.0, "", "stone", None)],
    composites=[("code-value", (("token", "loinc", "height"), ("quantity", 5.0, 9.0, "", "stone", None)))],
    uris=[("profile", "http://x/a")],
    contained=[("Device", "d", IndexEntries(tokens=[("type", "s", "scale")]))],
)


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """Two patients, one Observation of each, an unindexed one; a second apart."""
    clock = Clock(START)
    async with opened(tmp_path, FAST, clock=clock) as made:
        for change in (
            put("Patient/anna", "an alpha text", ANNA), put("Patient/bert", "a beta", BERT),
            put("Observation/kilo", "", KILO), put("Observation/pound", "", POUND), put("Observation/bare"),
        ):  # fmt: skip
            await made.commit([change])
            clock.now += 1000
        yield made


async def found(store: SqliteStore, type_: str, node: q.Node) -> set[str]:
    """The ids that a tree finds, which the count and the complement must agree with."""
    page = await store.search(q.Search({type_: node}))
    ids = {version.key.id for version in page.versions}
    assert await store.count(q.Search({type_: node})) == len(ids)
    others = {version.key.id for version in (await store.search(q.Search({type_: q.Not(node)}))).versions}
    everything = {version.key.id for version in (await store.search(q.Search({type_: q.EVERYTHING}))).versions}
    assert ids | others == everything and not ids & others
    return ids


def number(prefix: Prefix, value: float, width: float = 0.5) -> q.NumberValue:
    return q.NumberValue(prefix, value, value - width, value + width)


def grams(prefix: Prefix, value: float) -> q.QuantityValue:
    return q.QuantityValue(number(prefix, value), UCUM, "g", (number(prefix, value), "g"))


def dated(prefix: Prefix, day: int, days: int = 1) -> q.DateValue:
    return q.DateValue(prefix, day * DAY, (day + days) * DAY)


def heavier(code: str) -> q.Composite:
    values = q.Token("0", (q.TokenValue(None, code),)), q.Quantity("1", (grams(Prefix.GT, 1.0),))
    return q.Composite("code-value", (values,))


TOKEN, VALUE, EXACT = q.Token, q.TokenValue, StringMode.EXACT

PATIENTS: list[tuple[q.Node, set[str]]] = [
    (TOKEN("gender", (VALUE(None, "female"),)), {"anna"}),
    (TOKEN("gender", (VALUE("g", None),)), {"anna", "bert"}),
    (TOKEN("gender", (VALUE("other", "female"),)), set()),
    (TOKEN("identifier", (VALUE("", "1"),)), {"bert"}),
    (TOKEN("identifier", (VALUE(None, "1"),)), {"anna", "bert"}),
    (TOKEN("gender", (*(VALUE(None, f"x{n}") for n in range(500)), VALUE("g", "male"))), {"bert"}),
    (TOKEN("nosuch", (VALUE(None, "1"),)), set()),
    (q.OfType("identifier", (("v2", "MR", "1"),)), {"anna"}),
    (q.OfType("identifier", (("v2", "MR", "2"),)), set()),
    (q.TokenText("gender", ("wom",)), {"anna"}),
    (q.TokenText("gender", ("oman",)), set()),
    (q.String("name", StringMode.STARTS, ("lind",)), {"anna"}),
    (q.String("name", StringMode.STARTS, ("nobody", "bert")), {"bert"}),
    (q.String("name", StringMode.CONTAINS, ("rie",)), {"bert"}),
    (q.String("name", EXACT, ("O'Brien",)), {"bert"}),
    (q.String("name", EXACT, ("obrien",)), set()),
    (q.String("name", StringMode.ENDS, ("gren",)), {"anna"}),
    (q.String("name", StringMode.EQUALS, ("anna",)), {"anna"}),
    (q.String("name", StringMode.STARTS, (*(f"x{n}" for n in range(100)), "ann")), {"anna"}),
    (q.Date("birthdate", (dated(Prefix.EQ, 100),)), {"anna"}),
    (q.Date("birthdate", (dated(Prefix.GE, 150),)), {"bert"}),
    (q.Date("birthdate", (dated(Prefix.LT, 100),)), {"bert"}),
    (q.Date("birthdate", (dated(Prefix.NE, 100),)), {"bert"}),
    (q.Date("birthdate", tuple(dated(Prefix.EQ, day) for day in range(150))), {"anna", "bert"}),
    (q.Missing("organization", True), {"anna"}),
    (q.Missing("organization", False), {"bert"}),
    (q.Missing("nosuch", True), {"anna", "bert"}),
    (q.Ids(("anna", "nobody")), {"anna"}),
    (q.LastUpdated((q.DateValue(Prefix.GT, START * 1000, START * 1000 + 1000),)), {"bert"}),
    (q.LastUpdated((q.DateValue(Prefix.EQ, START * 1000, START * 1000 + 1_000_000),)), {"anna"}),
    (q.Near("near", 52.5, 13.4, 1.0), {"anna"}),
    (q.Near("near", 52.5, 14.4, 1000.0), set()),
    (q.Has("Observation", "subject", TOKEN("code", (VALUE(None, "weight"),))), {"anna"}),
    (q.Has("Observation", "subject", q.EVERYTHING), {"anna", "bert"}),
    (q.Has("Observation", "subject", q.NOTHING), set()),
    (q.And((q.Missing("tag", True), q.String("name", StringMode.STARTS, ("a",)))), {"anna"}),
    (q.Or((q.Ids(("anna",)), TOKEN("tag", (VALUE("t", "vip"),)))), {"anna", "bert"}),
    (q.Or(()), set()),
    (q.And(()), {"anna", "bert"}),
]  # fmt: skip

OBSERVATIONS: list[tuple[q.Node, set[str]]] = [
    (q.Reference("subject", (q.ReferenceValue("Patient", "anna"),)), {"kilo"}),
    (q.Reference("subject", (q.ReferenceValue(id="bert"),), ("Group", "Patient")), {"pound"}),
    (q.Reference("subject", (q.ReferenceValue(id="bert"),), ("Group",)), set()),
    (q.Reference("subject", (q.ReferenceValue("Patient", "bert", version="1"),)), {"pound"}),
    (q.Reference("subject", (q.ReferenceValue("Patient", "anna", version="1"),)), set()),
    (q.Reference("derived", (q.ReferenceValue(url="http://x/q"),)), {"kilo"}),
    (q.Reference("derived", (q.ReferenceValue(url="http://x/q", version="2"),)), {"kilo"}),
    (q.Reference("derived", (q.ReferenceValue(url="http://x/q", version="3"),)), set()),
    (q.ReferenceIdentifier("subject", (VALUE("mrn", "1"),)), {"kilo"}),
    (q.Uri("profile", EXACT, ("http://x/a",)), {"pound"}),
    (q.Uri("profile", StringMode.BELOW, ("http://x/a",)), {"kilo", "pound"}),
    (q.Uri("profile", StringMode.BELOW, ("http://x/a/",)), {"kilo"}),
    (q.Uri("profile", StringMode.ABOVE, ("http://x/a/b/c",)), {"kilo", "pound"}),
    (q.Number("score", (number(Prefix.EQ, 3.0),)), {"kilo"}),
    (q.Number("score", (number(Prefix.GT, 3.0),)), set()),
    (q.Quantity("value", (grams(Prefix.EQ, 70_000.0),)), {"kilo"}),
    (q.Quantity("value", (grams(Prefix.GT, 1.0),)), {"kilo"}),
    (q.Quantity("value", (q.QuantityValue(number(Prefix.GT, 8.0), "", ""),)), {"kilo", "pound"}),
    (q.Quantity("value", (q.QuantityValue(number(Prefix.LT, 6.0), "", "stone"),)), {"pound"}),
    (q.Quantity("value", (q.QuantityValue(number(Prefix.LT, 6.0), UCUM, "stone"),)), set()),
    (heavier("weight"), {"kilo"}),
    (heavier("height"), set()),
    (q.Chain("subject", "Patient", q.String("name", StringMode.STARTS, ("ann",))), {"kilo"}),
    (q.Chain("subject", "Patient", q.Not(q.Ids(("anna",)))), {"pound"}),
    (q.Chain("subject", "Group", q.EVERYTHING), set()),
    (q.Chain("device", "Device", TOKEN("type", (VALUE("s", "scale"),))), {"pound"}),
    (q.Chain("subject", "Patient", q.Has("Observation", "subject", TOKEN("code", (VALUE(None, "weight"),)))), {"kilo"}),
    (q.Missing("subject", True), {"bare"}),
]  # fmt: skip


@pytest.mark.parametrize(("node", "ids"), PATIENTS, ids=lambda value: type(value).__name__)
async def test_patients_found(store: SqliteStore, node: q.Node, ids: set[str]) -> None:
    assert await found(store, "Patient", node) == ids


@pytest.mark.parametrize(("node", "ids"), OBSERVATIONS, ids=lambda value: type(value).__name__)
async def test_observations_found(store: SqliteStore, node: q.Node, ids: set[str]) -> None:
    assert await found(store, "Observation", node) == ids


async def test_a_type_without_resources_matches_nothing(store: SqliteStore) -> None:
    assert not (await store.search(q.Search({"Basic": q.EVERYTHING}))).versions


async def test_a_deleted_target_ends_a_chain(store: SqliteStore) -> None:
    chain = q.Chain("subject", "Patient", q.EVERYTHING)
    assert await found(store, "Observation", chain) == {"kilo", "pound"}
    await store.commit([delete("Patient/anna")])
    assert await found(store, "Observation", chain) == {"pound"}


async def test_text_is_no_syntax_of_like_or_sql(store: SqliteStore) -> None:
    for text in ("%", "_", "'", '"; DROP TABLE version; --', "\\", "\U0010ffff", "\ud7ff", "a\x00b"):
        for mode in (StringMode.STARTS, StringMode.CONTAINS, EXACT):
            assert await found(store, "Patient", q.String("name", mode, (text,))) == set()
