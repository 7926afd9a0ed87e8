"""The same random commits and searches on the memory engine and on SQLite give the same answers."""

import asyncio
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version
from fhir_server.search import query as q
from fhir_server.search.parser import parse_search
from fhir_server.storage.base import CommitResult, Condition, HistoryQuery, Page, Store, StoreError
from tests.conformance.storage.engines import LARGE
from tests.conformance.storage.world import BASE, EXTRACTOR, START, Clock, World, change, delete, open_world
from tests.property.strategies_search import IDS, TYPES, Resource, populations, resources, searches

KEYS = [ResourceKey(type_, id_) for type_ in TYPES for id_ in IDS]
VISIBILITIES = [
    q.Visibility(),
    q.Visibility(),
    q.Visibility(by_type={"Patient": q.Not(q.Ids(("0",)))}),
    q.Visibility(q.Not(q.Ids(("1",))), {"Observation": q.Token("status", (q.TokenValue(None, "final"),))}),
    q.Visibility(by_type={"Observation": q.Chain("subject", "Patient", q.Missing("name", False)), "List": q.NOTHING}),
    q.Visibility(by_type={"Patient": q.Has("Observation", "subject", q.EVERYTHING)}),
]
Shown = tuple[ResourceKey, int, int, bool]


def shown(version: Version) -> Shown:
    return version.key, version.version, version.last_updated, version.deleted


def outcome_of(result: CommitResult | StoreError) -> object:
    """Return what a commit came to, without the ids that each engine chooses itself."""
    if isinstance(result, StoreError):
        return type(result).__name__, [
            getattr(result, name, None) for name in ("key", "current", "targets", "referrers")
        ]
    return [(w.version and shown(w.version), w.changed, w.created) for w in result.written]


def rows_of(page: Page) -> object:
    containers = page.containers or (None,) * len(page.versions)
    matches = list(zip(map(shown, page.versions), containers, strict=True))
    return matches, sorted(map(shown, page.included)), page.next is None


class EnginesAgree(RuleBasedStateMachine):
    """Every rule does the same on all engines and compares what they answer with what the memory engine does."""

    links = Bundle("links")

    @initialize(population=populations)
    def open(self, population: list[Resource]) -> None:
        self._folder = TemporaryDirectory()
        self._runner = asyncio.Runner()
        self._worlds: dict[str, World] = {}
        for engine in LARGE:
            folder = Path(self._folder.name) / engine
            folder.mkdir()
            self._worlds[engine] = self._runner.run(open_world(engine, folder, max_includes=40, max_iterations=3))
        self.put(population)

    def teardown(self) -> None:
        if hasattr(self, "_worlds"):
            for world in self._worlds.values():
                self._runner.run(world.store.close())
            self._runner.close()
            self._folder.cleanup()

    def _agree(self, ask: Any) -> Any:
        """Ask every engine and return the answer of each, after `ask` has made them comparable."""
        answers = {engine: self._runner.run(ask(engine, world.store)) for engine, world in self._worlds.items()}
        expected = answers["memory"]
        for engine, answer in answers.items():
            assert answer == expected, f"{engine} answers\n{answer}\nbut memory\n{expected}"
        return expected

    def _commit(self, changes: list[Any]) -> None:
        async def ask(_: str, store: Store) -> object:
            try:
                return outcome_of(await store.commit(changes))
            except StoreError as fault:
                return outcome_of(fault)

        self._agree(ask)

    @rule(
        step=st.sampled_from((0, 1, 1000)),
        batch=st.lists(resources, min_size=1, max_size=6, unique_by=lambda r: (r["resourceType"], r["id"])),
    )
    def put(self, batch: list[Resource], step: int = 0) -> None:
        for world in self._worlds.values():
            world.clock.now += step
        self._commit([change(resource) for resource in batch])

    @rule(resource=resources, expected=st.sampled_from((0, 1, 2, 3)))
    def put_expecting(self, resource: Resource, expected: int) -> None:
        self._commit([change(resource, expected=expected)])

    @rule(key=st.sampled_from(KEYS), keep=st.booleans())
    def delete(self, key: ResourceKey, keep: bool) -> None:
        self._commit([delete(*key, keep_referenced=keep)])

    @rule(resource=resources, asked=searches(), found=st.frozensets(st.sampled_from(KEYS), max_size=1))
    def put_if(self, resource: Resource, asked: Any, found: frozenset[ResourceKey]) -> None:
        condition = Condition(replace(self._parse(asked), contained=q.Contained.FALSE), found)
        self._commit([change(resource, conditions=(condition,))])

    @rule(resource=resources, required=st.sampled_from(KEYS))
    def put_requiring(self, resource: Resource, required: ResourceKey) -> None:
        self._commit([change(resource, requires=(required,))])

    @rule(key=st.sampled_from(KEYS), history_only=st.booleans())
    def purge(self, key: ResourceKey, history_only: bool) -> None:
        self._agree(lambda _, store: store.purge(key, history_only=history_only))

    def _parse(self, asked: Any, visibility: q.Visibility = q.Visibility()) -> q.Search:  # noqa: B008
        types, query = asked
        return parse_search(
            query,
            types=types,
            registry=EXTRACTOR.registry,
            settings=self._worlds["memory"].settings,
            visibility=visibility,
            own_base=BASE,
            now=START,
        ).search

    @rule(target=links, many=st.lists(searches(), min_size=3, max_size=8), visibility=st.sampled_from(VISIBILITIES))
    def search(self, many: list[Any], visibility: q.Visibility) -> Any:
        asked = [self._search(self._parse(each, visibility)) for each in many]
        return multiple(*(link for link in asked if link[1]["memory"] is not None))

    def _search(self, search: q.Search) -> tuple[q.Search, dict[str, q.Cursor | None]]:
        cursors: dict[str, q.Cursor | None] = {}

        async def ask(engine: str, store: Store) -> object:
            page = await store.search(search)
            cursors[engine] = page.next
            return rows_of(page)

        self._agree(ask)
        self._agree(lambda _, store: store.count(search))
        return search, cursors

    @rule(link=links)
    def follow(self, link: Any) -> None:
        """Go on from a page that was cut before other things were written."""
        search, cursors = link
        for _ in range(3):
            if cursors["memory"] is None:
                return
            following: dict[str, q.Cursor | None] = {}

            async def ask(
                engine: str,
                store: Store,
                at: dict[str, q.Cursor | None] = cursors,
                then: dict[str, q.Cursor | None] = following,
            ) -> object:
                page = await store.search(replace(search, after=at[engine]))
                then[engine] = page.next
                return rows_of(page)

            self._agree(ask)
            cursors = following

    @rule(visibility=st.sampled_from(VISIBILITIES), since=st.sampled_from((None, START, START + 5, START + 1000)))
    def history(self, visibility: q.Visibility, since: int | None) -> None:
        async def ask(_: str, store: Store) -> object:
            query = HistoryQuery(since=since, visible=visibility, count=5)
            found: list[Version] = []
            page = await store.history(query)
            found += page.versions
            while page.next is not None:
                page = await store.history(replace(query, before=page.next, until=page.txid))
                found += page.versions
            return [shown(version) for version in found]

        self._agree(ask)

    @rule(limit=st.sampled_from((1, 3, 1000)))
    def feed(self, limit: int) -> None:
        async def ask(_: str, store: Store) -> object:
            found: list[Version] = []
            after = 0
            while versions := await store.changes(after, limit):
                found += versions
                after = versions[-1].txid
            return [shown(version) for version in found]

        self._agree(ask)

    @invariant()
    def the_same_is_there(self) -> None:
        async def ask(_: str, store: Store) -> object:
            versions = await store.read_many(KEYS)
            numbers = {type_: n for type_, n in (await store.statistics()).items() if n}
            return sorted((shown(v), v.body.data) for v in versions.values()), numbers

        if hasattr(self, "_worlds"):
            self._agree(ask)


def test_clocks_of_all_worlds_begin_alike() -> None:
    assert Clock().now == START


TestEnginesAgree = EnginesAgree.TestCase
TestEnginesAgree.settings = settings(
    max_examples=80, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
