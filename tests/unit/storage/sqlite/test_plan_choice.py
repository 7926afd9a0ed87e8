"""Which plan is chosen, as `explain` tells it, and that plans read indexes and no tables from end to end."""

import re
from collections.abc import AsyncIterator
from typing import Any

import apsw
import pytest
import pytest_asyncio

from fhir_server.search import query as q
from fhir_server.search.entries import IndexEntries
from fhir_server.storage.sqlite import compile_scope, plan, plan_count
from fhir_server.storage.sqlite.store import SqliteStore
from tests.unit.storage.sqlite.kit import FAST, opened, put

DAY = 86_400_000_000
NUMBER = 400


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds as for a store a hundred times as large."""
    for module in (plan, plan_count, compile_scope):
        monkeypatch.setattr(module, "PROBE", 5)
    for name, value in {"GLANCE": 8, "MIDDLE": 40, "WALK": 40, "DEEP": 100}.items():
        monkeypatch.setattr(plan, name, value)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SqliteStore]:
    """Observations, one a day, of ten patients; one in a hundred has the code `rare`."""
    async with opened(tmp_path_factory.mktemp("plans"), FAST) as made:
        await made.commit([put(f"Patient/{n}", "", named(n)) for n in range(10)])
        await made.commit([put(f"Observation/{n:03d}", "", observed(n)) for n in range(NUMBER)])
        yield made


def named(number: int) -> IndexEntries:
    return IndexEntries(strings=[("name", f"name {number}", f"Name {number}")])


def observed(number: int) -> IndexEntries:
    code = "rare" if number % 100 == 50 else "some" if number % 8 == 0 else "common"
    return IndexEntries(
        tokens=[("code", "s", code), ("status", None, "final")],
        dates=[("date", number * DAY, number * DAY + 1)],
        references=[("subject", "Patient", str(number % 10), None, None)],
    )


def code(*codes: str) -> q.Token:
    return q.Token("code", tuple(q.TokenValue("s", each) for each in codes))


def dated(prefix: q.Prefix, day: int) -> q.Date:
    return q.Date("date", (q.DateValue(prefix, day * DAY, (day + 1) * DAY),))


FINAL = q.Token("status", (q.TokenValue(None, "final"),))
NEWEST, OLDEST = (q.SortKey("date", True),), (q.SortKey("date"),)


async def steps(store: SqliteStore, *parts: q.Node, sort: tuple[q.SortKey, ...] = (), count: int = 5) -> list[Any]:
    """The names of the steps with what drove them, but for the counting."""
    told: Any = await store.explain(q.Search({"Observation": q.And(parts)}, sort, count))
    return [(step["step"], step.get("by", "")) for step in told["steps"] if step["step"] != "count"]


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_small_source_drives(store: SqliteStore) -> None:
    assert await steps(store, FINAL, code("rare")) == [("drive", "code=s|rare")]
    assert await steps(store, FINAL, code("rare"), sort=NEWEST) == [("drive", "code=s|rare")]


async def test_the_order_is_walked_where_everything_matches(store: SqliteStore) -> None:
    assert await steps(store) == [("walk", "pids of Observation")]
    assert await steps(store, sort=NEWEST) == [("walk", "date in order")]
    assert await steps(store, FINAL) == [("walk", "status=final")]
    assert await steps(store, FINAL, sort=OLDEST) == [("walk", "date in order")]


async def test_a_glance_at_a_large_source_fills_the_page(store: SqliteStore) -> None:
    assert await steps(store, code("common"), FINAL, count=3) == [("walk", "code=s|common")]


async def test_what_a_glance_does_not_fill_is_counted_further(store: SqliteStore) -> None:
    found = await steps(store, code("some", "rare"), dated(q.Prefix.LT, 60))
    assert found[0][0] == "walk"
    assert found[-1][0] == "drive"


async def test_two_bounds_on_a_date_are_one_range(store: SqliteStore) -> None:
    found = await steps(store, FINAL, dated(q.Prefix.GE, 100), dated(q.Prefix.LT, 103))
    assert found == [("drive", f"date=ge[{100 * DAY},{101 * DAY}) and lt[{103 * DAY},{104 * DAY})")]


async def test_a_sort_by_date_begins_at_the_edge_of_the_window(store: SqliteStore) -> None:
    parts = FINAL, dated(q.Prefix.LT, 100)
    assert await steps(store, *parts, sort=NEWEST) == [("walk", "date in order")]
    page = await store.search(q.Search({"Observation": q.And(parts)}, NEWEST, 3))
    assert [version.key.id for version in page.versions] == ["099", "098", "097"]


async def test_what_cannot_match_asks_no_table(store: SqliteStore) -> None:
    unknown = q.Token("code", (q.TokenValue("s", "unheard"),))
    assert await steps(store, FINAL, unknown) == [("nothing can match", "")]
    assert await steps(store, q.Chain("subject", "Patient", unknown)) == [("nothing can match", "")]


async def test_explain_tells_what_each_condition_matches(store: SqliteStore) -> None:
    told: Any = await store.explain(q.Search({"Observation": q.And((FINAL, code("rare"), dated(q.Prefix.GE, 10)))}))
    matched = {each["condition"].partition("=")[0]: each["matched"] for each in told["branches"][0]["conditions"]}
    assert matched == {"status": NUMBER, "code": 4, "date": 390}
    assert told["engine"] == "sqlite"
    assert told["rows"] == 4


PLANS = [
    ((), ()),
    ((), NEWEST),
    ((), OLDEST),
    ((FINAL, code("rare")), ()),
    ((code("common"), dated(q.Prefix.GE, 300)), ()),
    ((FINAL, dated(q.Prefix.GE, 300), dated(q.Prefix.LT, 310)), NEWEST),
    ((code("rare", "some"),), NEWEST),
    ((q.Reference("subject", (q.ReferenceValue("Patient", "3"),)), FINAL), NEWEST),
    ((q.Chain("subject", "Patient", q.String("name", q.StringMode.STARTS, ("name 3",))),), ()),
    ((q.Has("Observation", "subject", FINAL),), ()),
    ((q.Not(code("common")),), ()),
    ((q.Missing("date", True),), ()),
]  # fmt: skip


@pytest.mark.parametrize(("parts", "sort"), PLANS)
async def test_no_plan_scans_a_table(
    store: SqliteStore, parts: tuple[q.Node, ...], sort: tuple[q.SortKey, ...]
) -> None:
    """Every table is searched by a key; only subqueries and lists of values are read through."""
    told: Any = await store.explain(q.Search({"Observation": q.And(parts)}, sort, 5))
    connection = apsw.Connection(str(store._folder / "record.db"))
    for statement in [each for step in told["steps"] for each in step.get("sql", ())]:
        for *_, detail in connection.execute(f"EXPLAIN QUERY PLAN {statement}", (1,) * statement.count("?")):
            assert not re.fullmatch(r"SCAN (?!CONSTANT|\(|c$|k$|t\d+$).*", detail), f"{detail} in {statement}"
    connection.close()
