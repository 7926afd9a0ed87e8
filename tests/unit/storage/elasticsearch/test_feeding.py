"""The log comes into the index once, however often it is brought, and what is erased does not come back."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from elastic_transport import ApiResponseMeta, HttpHeaders, NodeConfig
from elasticsearch import ApiError

from fhir_server.model.keys import ResourceKey
from fhir_server.search.entries import IndexEntries
from fhir_server.storage.base import StoreUnavailable
from fhir_server.storage.elasticsearch import index, state
from fhir_server.storage.elasticsearch.document import OPEN
from fhir_server.storage.elasticsearch.erasing import finish
from fhir_server.storage.elasticsearch.feeding import Extract, Feeding
from fhir_server.storage.elasticsearch.index import Meta
from fhir_server.storage.elasticsearch.mapping import KEPT
from fhir_server.storage.elasticsearch.store import BUILDING
from fhir_server.storage.elasticsearch.terms import name_of
from tests.conformance.storage.world import delete, extract, patient
from tests.faults.proxy import Proxy
from tests.servers.elasticsearch import NAMED, elasticsearch_url, folder
from tests.unit.storage.elasticsearch.kit import Bench, bench
from tests.unit.storage.elasticsearch.test_searching import named

KEY = ResourceKey("Patient", "a")


@pytest_asyncio.fixture
async def world() -> AsyncIterator[Bench]:
    async with bench() as made:
        yield made


async def test_each_version_is_a_document_that_knows_from_when_to_when_it_was_current(world: Bench) -> None:
    await world.put(named("a", "Eins"))
    await world.feed()
    await world.put(named("a", "Zwei"))
    await world.store.commit([delete("Patient", "a")])
    await world.feed()
    spans = sorted((each["x"], each["to"]) for each in await world.documents())
    assert spans == [(1, 2), (2, 3)]


async def test_what_is_fed_again_changes_nothing(world: Bench) -> None:
    await world.put(named("a", "Eins"), named("b", "Eins"))
    await world.feed()
    await world.put(named("a", "Zwei"))
    await world.feed()
    before = await world.documents()
    live, _ = await world.keeping.index.names()
    assert live is not None
    feeding = Feeding(world.keeping.store, world.keeping.index, live, extract)
    await feeding.put(await world.keeping.store.changes(0))
    assert await world.documents() == before
    assert [each["to"] for each in before] == [2, OPEN, OPEN]


async def test_what_cannot_be_indexed_is_left_to_the_engine_and_holds_nothing_up(world: Bench) -> None:
    def broken(type_: str, body: bytes) -> IndexEntries:
        if b"Bad" in body:
            return IndexEntries(dates=[("birthdate", 1 << 70, 1 << 71)], strings=[("name", "bad", "Bad")])
        if b"Worse" in body:
            raise ValueError
        return extract(type_, body)

    world.keeping = replace(world.keeping, extract=broken)
    await world.put(named("a", "Bad"), named("b", "Worse"), named("c", "Good"))
    await world.feed()
    await world.put(named("a", "Bad again"))
    await world.feed()
    found = [(each["i"], each.get("loose"), each["to"]) for each in await world.documents()]
    assert found == [("a", True, 2), ("b", True, OPEN), ("c", None, OPEN), ("a", True, OPEN)]
    assert await world.found("Patient?name:contains=ors") == {"b"}
    assert await world.found("Patient?name:contains=ood") == {"c"}
    assert await world.found("Patient?name:contains=gai") == {"a"}


async def test_what_is_too_large_for_the_server_is_left_to_the_engine_and_holds_nothing_up(
    world: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, sent = world.keeping.index.connection.writing, list[int]()

    async def bulk(**asked: Any) -> Any:
        size = sum(len(json.dumps(each)) for each in asked["operations"])
        sent.append(size)
        if size > 3_000:  # as a proxy before the server, which takes less than that
            node = NodeConfig("http", "proxy", 80)
            raise ApiError("too large", ApiResponseMeta(413, "1.1", HttpHeaders(), 0.0, node), "")
        return await real.bulk(**asked)

    monkeypatch.setattr(index, "_LARGEST", 40_000)
    monkeypatch.setattr(world.keeping.index.connection, "_writing", _Client(real, bulk))
    sizes = {"a": 10, "b": 4_000, "c": 30, "d": 30_000}
    await world.put(*(named(id_, "x" * size) for id_, size in sizes.items()))
    await world.feed()
    assert {each["i"]: each.get("loose", False) for each in await world.documents()} == {
        "a": False, "b": True, "c": False, "d": True,
    }  # fmt: skip
    assert await world.found("Patient?name:contains=xxx") == set(sizes)
    assert len([size for size in sent if size > 3_000]) == 4, "all, each half, and the one that might have been taken"


class _Client:
    """A client of which one call is another."""

    def __init__(self, real: Any, bulk: Any) -> None:
        self._real, self.bulk = real, bulk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


async def test_superseded_versions_go_when_no_page_link_can_read_them(world: Bench) -> None:
    await world.put(named("a", "Eins"))
    await world.put(named("a", "Zwei"))
    await world.feed()
    world.clock.now += 3 * 1_000 * world.settings.link_life
    await world.put(named("b", "Drei"))
    await world.keeping.step()
    await world.keeping.step(tidy=True)
    assert [each["x"] for each in await world.documents()] == [2, 3]
    meta = await world.keeping.index.meta()
    assert meta is not None and meta.floor == 2


async def test_a_store_that_was_put_back_has_its_index_built_anew(world: Bench) -> None:
    await world.put(named("a", "Schreiber"))
    await world.feed()
    live, _ = await world.keeping.index.names()
    assert live is not None
    await world.keeping.index.put_meta(live, Meta(applied=900))
    assert (await world.search("Patient?name:contains=reib")).notes == (BUILDING,)
    await world.feed()
    page = await world.search("Patient?name:contains=reib")
    assert (len(page.versions), page.notes) == (1, ())


async def test_an_index_is_built_anew_while_the_old_one_answers_and_both_are_fed(world: Bench) -> None:
    settings = world.settings.model_copy(update={"elasticsearch_build": 1, "elasticsearch_batch": 5})
    for number in range(12):
        await world.put(named(f"p{number}", "Schreiber"))
    await world.feed()
    old, _ = await world.keeping.index.names()
    world.keeping.index.settings = settings
    steps = 0
    while await world.keeping.step():
        steps += 1
        await world.put(named(f"q{steps}", "Schreiber"))
        page = await world.search("Patient?name:contains=reib&_count=100")
        assert (len(page.versions), page.notes) == (12 + steps, ())
        assert steps < 50
    new, others = await world.keeping.index.names()
    assert steps > 2 and new != old and others == []
    meta = await world.keeping.index.meta()
    assert meta is not None and meta.build == 1


async def test_a_purged_resource_is_gone_from_the_index_and_late_writes_do_not_bring_it_back(world: Bench) -> None:
    await world.put(named("a", "Eins"))
    await world.put(named("a", "Zwei"), named("b", "Drei"))
    late = await world.keeping.store.changes(0)
    await world.feed()
    assert await world.store.purge(KEY, history_only=False) == 2
    live, _ = await world.keeping.index.names()
    assert live is not None
    await Feeding(world.keeping.store, world.keeping.index, live, extract).put(late)
    assert [each["i"] for each in await world.documents()] == ["b"]
    assert [each.wanted for each in (await state.noted(world.keeping.store)).values()] == [()]
    await world.put(named("a", "Vier"))
    await world.feed()
    assert await world.found("Patient?name:contains=vie") == {"a"}


async def test_nothing_is_purged_while_the_index_does_not_answer_and_what_was_begun_is_ended() -> None:
    port = int(elasticsearch_url().rpartition(":")[2])
    with Proxy(port) as proxy:
        async with bench(f"http://127.0.0.1:{proxy.port}", elasticsearch_timeout=0.5) as world:
            await world.put(named("a", "Eins"))
            await world.feed()
            proxy.refuse()
            proxy.cut()
            with pytest.raises(StoreUnavailable, match="nothing was erased"):
                await world.store.purge(KEY, history_only=False)
            assert await world.store.read(KEY) is not None
            # A process that died between the two: the store is purged, the index is not.
            await state.note_erasing(world.keeping.store, [(name_of(KEY), 1)])
            await world.keeping.store.purge(KEY, history_only=False)
            assert len(await world.documents()) == 1
            assert await finish(world.keeping.store, world.keeping.index) == 1
            assert await world.documents() == []


@pytest.mark.long
@pytest.mark.skipif(bool(NAMED), reason="test data: the files of a node that was started here")
async def test_of_what_was_erased_nothing_is_left_in_the_files_of_the_node(world: Bench) -> None:
    await world.put(named("a", "Xylographenstein"), named("b", "Maier"))
    await world.put(named("a", "Xylographenstein", gender="male"))
    await world.feed()
    live, _ = await world.keeping.index.names()
    assert live is not None
    await world.keeping.index.expunge(live)
    store = world.keeping.store
    held = lambda: sum(_holds(each, b"xylographenstein") for each in (folder() / "data").rglob("*"))  # noqa: E731
    assert held() > 0 and (await world.store.residue([b"xylographenstein"]))[0] > 0
    await world.store.purge(KEY, history_only=False)
    assert await world.store.residue([b"xylographenstein"]) == (0,)
    assert await finish(store, world.keeping.index) == 1
    await asyncio.sleep(KEPT)
    assert await finish(store, world.keeping.index) == 0
    assert (held(), len(await world.documents()), await state.noted(store)) == (0, 1, {})


def _holds(path: Path, text: bytes) -> bool:
    try:
        return path.is_file() and text in path.read_bytes()
    except FileNotFoundError:
        return False


async def test_rows_made_anew_are_searched_at_once_or_the_index_is_asked_no_more() -> None:
    def other(type_: str, body: bytes) -> IndexEntries:
        return IndexEntries(strings=[("family", "anders", "Anders")])

    port = int(elasticsearch_url().rpartition(":")[2])
    with Proxy(port) as proxy:
        async with bench(f"http://127.0.0.1:{proxy.port}", elasticsearch_timeout=0.5) as world:
            await world.put(named("a", "Eins"), patient("b"))
            await world.feed()
            await world.store.reindex(["Patient"], other, lambda done, of: None)
            page = await world.search("Patient?family:contains=nders")
            assert (len(page.versions), page.notes) == (2, ())
            proxy.refuse()
            proxy.cut()
            assert await world.store.reindex([], extract, lambda done, of: None) == 2
            proxy.accept()
            async with asyncio.timeout(10):
                while (await world.search("Patient?family:contains=ein")).notes[0] != BUILDING:
                    await asyncio.sleep(0.05)
            await world.feed()
            page = await world.search("Patient?family:contains=ein")
            assert ([each.key.id for each in page.versions], page.notes) == (["a"], ())


async def test_rows_of_parameters_that_changed_while_a_batch_was_written_are_made_again(world: Bench) -> None:
    def other(type_: str, body: bytes) -> IndexEntries:
        return IndexEntries(strings=[("family", "anders", "Anders")])

    async def latest() -> Extract:
        return other

    await world.put(named("a", "Eins"))
    await world.feed()
    await world.put(named("b", "Zwei"))
    world.keeping = replace(world.keeping, latest=latest)
    await world.feed()
    assert [each["s"][0].partition("\x1f")[2] for each in await world.documents()][-1] == "anders"
