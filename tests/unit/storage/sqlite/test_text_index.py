"""The full-text index beside the record: its queries, how it catches up, and what it does when it does not fit."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import apsw
import pytest
import pytest_asyncio

from fhir_server.model.json import make_body
from fhir_server.model.keys import ResourceKey
from fhir_server.search import query as q
from fhir_server.search.fulltext import contains_text
from fhir_server.settings import Settings
from fhir_server.storage.base import Change, Condition, ConditionChanged
from fhir_server.storage.sqlite import text
from fhir_server.storage.sqlite.store import SqliteStore
from fhir_server.storage.sqlite.text import TextIndex
from fhir_server.storage.sqlite.text_query import fts5_query
from tests.unit.storage.sqlite.kit import FAST, delete, opened


def note(id_: str, narrative: str, comment: str = "") -> Change:
    """A Basic with a narrative and a string."""
    key = ResourceKey("Basic", id_)
    resource = {"resourceType": "Basic", "id": id_, "text": {"div": f"<div>{narrative}</div>"}, "comment": comment}
    return Change(key, "PUT", make_body(json.dumps(resource, ensure_ascii=False).encode(), key))


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """Three resources with text."""
    async with opened(tmp_path, FAST) as made:
        await made.commit([note("one", "Fever and <b>cough</b>", "seen at night")])
        await made.commit([note("two", "Fièvre; no cough"), note("three", "&lt;pain&gt; in the Knee")])
        yield made


async def found(store: SqliteStore, query: str, *, content: bool = False) -> set[str]:
    page = await store.search(q.Search({"Basic": q.FullText(content, query)}))
    assert not page.notes
    return {version.key.id for version in page.versions}


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("fever", {"one"}),
        ("FIEVRE", {"two"}),
        ("cough", {"one", "two"}),
        ("cough fever", {"one"}),
        ("knee OR fever", {"one", "three"}),
        ('"in the knee"', {"three"}),
        ('"the in knee"', set()),
        ("coug*", {"one", "two"}),
        ("coug", set()),
        ("cough NOT fever", {"two"}),
        ("NOT cough", {"three"}),
        ("NOT (cough OR knee)", set()),
        ("fever OR NOT cough", {"one", "three"}),
        ("night", set()),
        ("b", set()),
    ],
)
async def test_narratives_found(store: SqliteStore, query: str, ids: set[str]) -> None:
    assert await found(store, query) == ids


async def test_content_has_the_narrative_and_every_string(store: SqliteStore) -> None:
    assert await found(store, "night fever", content=True) == {"one"}


@pytest.mark.parametrize(
    "query",
    ["a AND NEAR(b)", "narrative : x", "x OR y^2", "col:x", "a+b", "--", "'; x", "{x}", "a - b", "*x*", "\x00x"],
)  # fmt: skip
async def test_what_users_write_is_no_fts5_syntax(store: SqliteStore, query: str) -> None:
    try:
        expected = contains_text("nothing like that", query)
    except ValueError:
        return
    assert await found(store, query) in (set(), {"one", "two", "three"})
    assert not expected


def test_a_query_that_is_negative_as_a_whole_is_told_so() -> None:
    assert fts5_query("NOT a", "narrative") == ('narrative : ("a")', True)
    assert fts5_query("a NOT b", "content") == ('content : ((("a") NOT ("b")))', False)
    assert fts5_query("a OR NOT b", "content") == ('content : ((("b") NOT ("a")))', True)


async def test_new_versions_are_found_and_old_ones_are_not(store: SqliteStore) -> None:
    assert await found(store, "fever") == {"one"}
    await store.commit([note("one", "well again"), note("four", "fever")])
    assert await found(store, "fever") == {"four"}
    assert await found(store, "well") == {"one"}
    await store.commit([delete("Basic/four")])
    assert await found(store, "fever") == set()


async def test_a_search_says_how_far_the_index_lags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "SLICE", 2)
    async with opened(tmp_path, FAST) as store:
        await store.commit([note(str(n), "fever") for n in range(10)])
        connection = apsw.Connection(str(tmp_path / "record.db"))
        index = TextIndex(tmp_path / "text.db", Settings(durable=False))
        assert index.catch_up(connection, deadline=0) == 8
        assert index.catch_up(connection, deadline=0) == 6
        assert len(index.match(connection, content=False, query="fever")[1]) == 10
        index.close()
        connection.close()


async def test_a_search_that_may_not_wait_reports_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "SLICE", 2)
    slow = iter(range(0, 1_000_000, 100))
    monkeypatch.setattr(text, "time", SimpleNamespace(monotonic=lambda: next(slow)))
    async with opened(tmp_path, FAST) as store:
        await store.commit([note(str(n), "fever") for n in range(10)])
        page = await store.search(q.Search({"Basic": q.FullText(False, "fever")}))
        assert len(page.versions) == 2
        assert page.notes == ("The text index lags behind the record by 8 versions.",)


async def test_an_index_of_another_log_is_made_anew(store: SqliteStore, tmp_path: Path) -> None:
    assert await found(store, "fever") == {"one"}
    index = apsw.Connection(str(tmp_path / "text.db"))
    index.execute("UPDATE place SET last_updated=last_updated+1, pid=1")
    index.close()
    assert await found(store, "cough") == {"one", "two"}
    assert await found(store, "knee") == {"three"}


async def test_an_erased_resource_leaves_no_word_behind(store: SqliteStore, tmp_path: Path) -> None:
    assert await found(store, "fever") == {"one"}
    await store.purge(ResourceKey("Basic", "one"), history_only=False)
    assert await found(store, "fever") == set()
    assert b"fever" not in (tmp_path / "text.db").read_bytes()
    assert await found(store, "fievre") == {"two"}


async def test_a_condition_reads_what_is_not_indexed_and_indexes_nothing_uncommitted(store: SqliteStore) -> None:
    fever = q.Search({"Basic": q.FullText(False, "fever")})
    one, five = ResourceKey("Basic", "one"), ResourceKey("Basic", "five")
    first = note("five", "fever")
    held = Change(first.key, "PUT", first.body, conditions=(Condition(fever, frozenset((one,))),))
    await store.commit([held])
    second = note("six", "pain")
    refused = Change(second.key, "PUT", second.body, conditions=(Condition(fever, frozenset((one,))),))
    with pytest.raises(ConditionChanged):
        await store.commit([refused])
    assert await found(store, "fever") == {one.id, five.id}
