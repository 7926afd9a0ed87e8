"""What includes bring on SQLite: beyond the shared table of expectations, the limits and old snapshots."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from fhir_server.search import query as q
from fhir_server.settings import Settings
from fhir_server.storage.base import Page
from fhir_server.storage.sqlite.store import SqliteStore
from tests.unit.storage.sqlite.kit import FAST, delete, opened, put, refers

SUBJECT = q.Include("Observation", "subject")
REVERSE = replace(SUBJECT, reverse=True)


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """A chain of four Observations, the first of which has a Patient."""
    async with opened(tmp_path, FAST.model_copy(update={"max_includes": 3, "max_iterations": 2})) as made:
        await made.commit([put("Patient/p"), put("Observation/1", "", refers("Patient/p"))])
        for number in (2, 3, 4, 5):
            await made.commit([put(f"Observation/{number}", "", refers(f"Observation/{number - 1}", param="derived"))])
        yield made


def asked(id_: str, *includes: q.Include, type_: str = "Observation") -> q.Search:
    return q.Search({type_: q.Ids((id_,))}, includes=includes)


def brought(page: Page) -> list[str]:
    return [str(version.key) for version in page.included]


async def test_forward_and_reverse(store: SqliteStore) -> None:
    assert brought(await store.search(asked("1", SUBJECT))) == ["Patient/p"]
    assert brought(await store.search(asked("p", REVERSE, type_="Patient"))) == ["Observation/1"]
    assert brought(await store.search(asked("2", SUBJECT))) == []


async def test_a_target_of_another_type_is_not_brought(store: SqliteStore) -> None:
    assert brought(await store.search(asked("1", replace(SUBJECT, target="Group")))) == []
    assert brought(await store.search(asked("p", replace(REVERSE, target="Group"), type_="Patient"))) == []


async def test_all_parameters(store: SqliteStore) -> None:
    assert brought(await store.search(asked("1", replace(SUBJECT, param="*")))) == ["Patient/p"]
    assert brought(await store.search(asked("1", q.Include("*", "*", reverse=True)))) == ["Observation/2"]


async def test_iterations_end_at_their_limit_and_say_so(store: SqliteStore) -> None:
    page = await store.search(asked("5", q.Include("Observation", "derived", iterate=True)))
    assert brought(page) == ["Observation/4", "Observation/3", "Observation/2"]
    assert page.notes == ("Includes were followed for 2 rounds; there are more beyond.",)


async def test_a_cut_is_told(store: SqliteStore) -> None:
    many = [put(f"Observation/m{n}", "", refers("Patient/p")) for n in range(5)]
    await store.commit(many)
    page = await store.search(asked("p", REVERSE, type_="Patient"))
    assert len(page.included) == 3
    assert page.notes == ("Included resources were cut at the limit of 3.",)


async def test_a_match_is_not_included_again(store: SqliteStore) -> None:
    page = await store.search(q.Search({"Observation": q.EVERYTHING}, includes=(q.Include("Observation", "derived"),)))
    assert brought(page) == []


async def test_what_the_caller_may_not_see_is_not_brought(store: SqliteStore) -> None:
    hidden = q.Visibility(by_type={"Patient": q.Not(q.Ids(("p",)))})
    assert brought(await store.search(replace(asked("1", SUBJECT), visible=hidden))) == []
    others = q.Visibility(default=q.NOTHING, by_type={"Patient": q.EVERYTHING})
    assert brought(await store.search(replace(asked("1", SUBJECT), visible=others))) == ["Patient/p"]


async def test_a_later_page_includes_the_versions_of_its_snapshot(store: SqliteStore) -> None:
    search = q.Search({"Observation": q.EVERYTHING}, (q.SortKey("_lastUpdated", True),), 4, includes=(SUBJECT,))
    first = await store.search(search)
    await store.commit([put("Patient/p", "changed")])
    second = await store.search(replace(search, after=first.next))
    assert [(version.key.id, version.version) for version in second.included] == [("p", 1)]
    assert [version.version for version in (await store.search(asked("1", SUBJECT))).included] == [2]


async def test_a_deleted_target_is_not_brought(store: SqliteStore) -> None:
    await store.commit([delete("Patient/p")])
    assert brought(await store.search(asked("1", SUBJECT))) == []


@pytest.mark.parametrize("count", [1, 3])
async def test_includes_belong_to_their_page(tmp_path: Path, count: int) -> None:
    async with opened(tmp_path / "other", Settings(durable=False, reserve_bytes=0)) as store:
        await store.commit([put(f"Patient/{n}") for n in range(3)])
        await store.commit([put(f"Observation/{n}", "", refers(f"Patient/{n}")) for n in range(3)])
        page = await store.search(q.Search({"Observation": q.EVERYTHING}, count=count, includes=(SUBJECT,)))
        assert len(page.included) == count
