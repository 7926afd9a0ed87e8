"""Purge, reindex and explain."""

from fhir_server.model.keys import ResourceKey
from fhir_server.search.entries import IndexEntries
from fhir_server.storage.base import HistoryQuery, Store
from tests.conformance.storage.world import World, delete, extract, observation, patient

A = ResourceKey("Patient", "a")


async def test_purging_the_history_leaves_the_current_version(world: World, store: Store) -> None:
    for gender in ("male", "female", "other"):
        await world.put(patient("a", gender=gender))
    assert await store.purge(A, history_only=True) == 2
    assert await store.read_version(A, 1) is None
    version = await store.read(A)
    assert version is not None and version.version == 3
    assert [v.version for v in (await store.history(HistoryQuery(key=A))).versions] == [3]
    assert await world.found("Patient?gender=other") == {"a"}


async def test_purging_all_leaves_nothing(world: World, store: Store) -> None:
    await world.put(patient("a", gender="male"), patient("b"))
    await world.put(patient("a", gender="female"))
    assert await store.purge(A, history_only=False) == 2
    assert await store.read(A) is None
    assert await store.read_version(A, 1) is None
    history = await store.history(HistoryQuery())
    assert [v.key.id for v in history.versions] == ["b"]
    assert history.total == 1
    assert await world.found("Patient") == {"b"}
    assert await world.found("Patient?gender=female") == set()
    assert [v.key.id for v in await store.changes(0)] == ["b"]
    assert {type_: n for type_, n in (await store.statistics()).items() if n} == {"Patient": 1}


async def test_purging_a_deleted_resource_takes_the_deletion_too(world: World, store: Store) -> None:
    await world.put(patient("a"))
    await store.commit([delete("Patient", "a")])
    assert await store.purge(A, history_only=False) == 2
    assert await store.read(A) is None


async def test_purging_what_does_not_exist_erases_nothing(store: Store) -> None:
    assert await store.purge(A, history_only=False) == 0
    assert await store.purge(A, history_only=True) == 0


async def test_a_purged_resource_may_be_written_again(world: World, store: Store) -> None:
    await world.put(patient("a"))
    await store.purge(A, history_only=False)
    assert (await world.put(patient("a"))).written[0].created
    assert await world.found("Patient") == {"a"}


async def test_reindex_makes_the_rows_anew(world: World, store: Store) -> None:
    await world.put(patient("a", gender="male"), observation("o"))

    def only_female(type_: str, body: bytes) -> IndexEntries:
        return IndexEntries(tokens=[("gender", None, "female")])

    calls: list[tuple[int, int]] = []
    assert await store.reindex(["Patient"], only_female, lambda done, of: calls.append((done, of))) == 1
    assert await world.found("Patient?gender=female") == {"a"}
    assert await world.found("Patient?gender=male") == set()
    assert await world.found("Observation?status=final") == {"o"}
    assert calls[-1] == (1, 1)
    assert await store.reindex([], extract, lambda done, of: None) == 2
    assert await world.found("Patient?gender=male") == {"a"}


async def test_reindex_gives_the_stored_body_to_the_extractor(world: World, store: Store) -> None:
    result = await world.put(patient("a", gender="male"))
    seen: list[tuple[str, bytes]] = []

    def remember(type_: str, body: bytes) -> IndexEntries:
        seen.append((type_, body))
        return extract(type_, body)

    await store.reindex(["Patient"], remember, lambda done, of: None)
    assert result.written[0].version is not None
    assert set(seen) == {("Patient", result.written[0].version.body.data)}


async def test_reindex_makes_no_versions(world: World, store: Store) -> None:
    result = await world.put(patient("a"))
    await store.reindex([], extract, lambda done, of: None)
    assert await store.last_txid() == result.txid
    version = await store.read(A)
    assert version is not None and version.version == 1


async def test_explain_says_how_and_what_was_matched(world: World, store: Store) -> None:
    await world.put(patient("a", gender="male"))
    plan = await store.explain(world.parse("Patient?gender=male&name=x").search)
    assert plan["engine"] == store.capabilities.engine
    assert plan


async def test_histories_of_many_are_purged_at_once_and_deletions_stay(world: World, store: Store) -> None:
    for id_ in ("a", "b"):
        await world.put(patient(id_, gender="male"))
        await world.put(patient(id_, gender="female"))
    await store.commit([delete("Patient", "a")])
    b = ResourceKey("Patient", "b")
    assert await store.purge_history([A, b, ResourceKey("Patient", "nobody")]) == 3
    tombstone, kept = await store.read(A), await store.read(b)
    assert tombstone is not None and tombstone.deleted and tombstone.version == 3
    assert kept is not None and kept.version == 2
    assert await store.read_version(A, 2) is None
    assert await world.found("Patient?gender=female") == {"b"}
    assert await store.purge_history([A, b]) == 0


async def test_compacting_keeps_everything(world: World, store: Store) -> None:
    await world.put(patient("a", gender="male"))
    await store.compact()
    assert await world.found("Patient?gender=male") == {"a"}
    await world.put(patient("b", gender="male"))
    assert await world.found("Patient?gender=male") == {"a", "b"}


async def test_nothing_that_was_never_written_is_in_the_files(store: Store) -> None:
    assert await store.residue([b"zygodactyl", b"heterodactyl"]) == (0, 0)
