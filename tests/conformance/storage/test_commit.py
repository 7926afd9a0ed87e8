"""`commit` writes versions: numbers, instants, no-ops, deletions, all or nothing."""

from itertools import pairwise

import pytest

from fhir_server.model.keys import ResourceKey
from fhir_server.storage.base import HistoryQuery, Store, VersionChanged
from tests.conformance.storage.world import START, Clock, World, change, delete, patient

A = ResourceKey("Patient", "a")


async def test_what_was_committed_is_read(world: World, store: Store) -> None:
    result = await world.put(patient("a", gender="male"))
    version = await store.read(A)
    assert version is not None and version == result.written[0].version
    assert version.body == change(patient("a", gender="male")).body
    assert (version.key, version.version, version.method, version.deleted) == (A, 1, "PUT", False)
    assert (version.txid, version.last_updated) == (result.txid, result.last_updated)


async def test_what_was_never_written_is_none(store: Store) -> None:
    assert await store.read(A) is None
    assert await store.read_version(A, 1) is None
    assert await store.read_many([A]) == {}
    assert await store.last_txid() == 0


async def test_bytes_are_kept_token_for_token(store: Store) -> None:
    made = change(patient("a", name=[{"family": "Zoë 😀 \u2028"}]))
    raw = made.body.data.replace(b'"meta":{', b'"meta":{"tag":[{"code":"x"}],')
    body = type(made.body)(raw[:-1] + b',"extension":[{"url":"u","valueDecimal":1.20}]}', made.body.splice)
    await store.commit([type(made)(made.key, "PUT", body, made.entries)])
    version = await store.read(A)
    assert version is not None and version.body == body


async def test_an_update_is_the_next_version_and_the_old_one_stays(world: World, store: Store) -> None:
    await world.put(patient("a", gender="male"))
    await world.put(patient("a", gender="female"))
    first, second = await store.read_version(A, 1), await store.read_version(A, 2)
    assert first is not None and b'"male"' in first.body.data
    assert second is not None and second == await store.read(A)
    assert await store.read_version(A, 3) is None
    assert await store.read_version(A, 0) is None


async def test_created_is_told_from_changed(world: World) -> None:
    first = await world.put(patient("a"))
    second = await world.put(patient("a", gender="male"))
    assert (first.written[0].created, first.written[0].changed) == (True, True)
    assert (second.written[0].created, second.written[0].changed) == (False, True)


async def test_the_same_content_makes_no_new_version(world: World, store: Store) -> None:
    first = await world.put(patient("a", gender="male"))
    second = await world.put(patient("a", gender="male"))
    assert second.txid == 0
    assert second.written[0].version == first.written[0].version
    assert (second.written[0].changed, second.written[0].created) == (False, False)
    assert await store.last_txid() == first.txid


async def test_members_in_another_order_are_the_same_content(world: World, store: Store) -> None:
    first = await world.put(patient("a", gender="male", birthDate="1970-01-01"))
    second = await world.put(patient("a", birthDate="1970-01-01", gender="male"))
    assert second.written[0].version == first.written[0].version
    assert not second.written[0].changed
    assert await store.last_txid() == first.txid


async def test_force_makes_a_version_of_the_same_content(world: World, store: Store) -> None:
    await world.put(patient("a"))
    result = await store.commit([change(patient("a"), force=True)])
    assert result.written[0].version is not None and result.written[0].version.version == 2


async def test_a_deletion_is_a_version_without_body(world: World, store: Store) -> None:
    await world.put(patient("a"))
    result = await store.commit([delete("Patient", "a")])
    version = await store.read(A)
    assert version is not None and version == result.written[0].version
    assert (version.version, version.deleted, version.method) == (2, True, "DELETE")
    assert (result.written[0].changed, result.written[0].created) == (True, False)


async def test_deleting_what_never_existed_changes_nothing(store: Store) -> None:
    result = await store.commit([delete("Patient", "a")])
    assert result.txid == 0
    assert result.written[0].version is None and not result.written[0].changed


async def test_deleting_twice_changes_nothing_and_answers_the_deletion(world: World, store: Store) -> None:
    await world.put(patient("a"))
    first = await store.commit([delete("Patient", "a")])
    second = await store.commit([delete("Patient", "a")])
    assert second.txid == 0
    assert second.written[0].version == first.written[0].version


async def test_a_deleted_resource_comes_back_as_the_next_version(world: World, store: Store) -> None:
    await world.put(patient("a"))
    await store.commit([delete("Patient", "a")])
    result = await world.put(patient("a"))
    assert result.written[0].version is not None
    assert result.written[0].version.version == 3
    assert result.written[0].created


async def test_all_versions_of_a_commit_share_txid_and_instant(world: World) -> None:
    result = await world.put(patient("a"), patient("b"), patient("c"))
    versions = [written.version for written in result.written if written.version]
    assert {(v.txid, v.last_updated) for v in versions} == {(result.txid, result.last_updated)}
    assert [v.key.id for v in versions] == ["a", "b", "c"]
    assert len({v.pid for v in versions}) == 3


async def test_the_instant_is_that_of_the_clock(world: World, clock: Clock) -> None:
    clock.now = START + 5_000
    result = await world.put(patient("a"))
    assert result.last_updated == START + 5_000


async def test_instants_are_at_least_a_millisecond_apart_though_the_clock_stands_still(world: World) -> None:
    instants = [(await world.put(patient("a", active=n % 2 == 0))).last_updated for n in range(5)]
    assert all(later - earlier >= 1 for earlier, later in pairwise(instants))


async def test_instants_never_run_backwards_though_the_clock_does(world: World, clock: Clock) -> None:
    first = await world.put(patient("a"))
    clock.now -= 3_600_000
    second = await world.put(patient("b"))
    assert second.last_updated > first.last_updated


async def test_txids_and_pids_grow(world: World) -> None:
    results = [await world.put(patient(f"p{n}")) for n in range(3)]
    txids = [result.txid for result in results]
    pids = [result.written[0].version.pid for result in results if result.written[0].version]
    assert txids == sorted(set(txids)) and pids == sorted(set(pids))


async def test_a_commit_with_a_failed_precondition_writes_nothing(world: World, store: Store) -> None:
    await world.put(patient("a"))
    before = await store.last_txid()
    with pytest.raises(VersionChanged):
        await store.commit([change(patient("b")), change(patient("a", gender="male"), expected=7)])
    assert await store.read(ResourceKey("Patient", "b")) is None
    assert await store.last_txid() == before
    assert await world.found("Patient") == {"a"}
    assert (await store.history(HistoryQuery())).total == 1


async def test_a_commit_of_nothing_is_no_commit(store: Store) -> None:
    result = await store.commit([])
    assert (result.txid, result.written) == (0, ())


async def test_a_partly_unchanged_commit_writes_the_rest(world: World) -> None:
    await world.put(patient("a"), patient("b"))
    result = await world.put(patient("a"), patient("b", gender="male"))
    assert [written.changed for written in result.written] == [False, True]


async def test_read_many_returns_those_that_exist_and_deletions(world: World, store: Store) -> None:
    await world.put(patient("a"), patient("b"))
    await store.commit([delete("Patient", "b")])
    keys = [ResourceKey("Patient", id_) for id_ in "abc"]
    found = await store.read_many(keys)
    assert {key.id: version.deleted for key, version in found.items()} == {"a": False, "b": True}


async def test_statistics_count_current_resources(world: World, store: Store) -> None:
    await world.put(patient("a"), patient("b"), {"resourceType": "Organization", "id": "o"})
    await world.put(patient("a", gender="male"))
    await store.commit([delete("Patient", "b")])
    assert {type_: n for type_, n in (await store.statistics()).items() if n} == {"Patient": 1, "Organization": 1}


async def test_ids_of_different_types_do_not_meet(world: World, store: Store) -> None:
    await world.put(patient("x"), {"resourceType": "Organization", "id": "x"})
    assert await store.read(ResourceKey("Practitioner", "x")) is None
    version = await store.read(ResourceKey("Organization", "x"))
    assert version is not None and version.key.type == "Organization"


async def test_ids_differ_by_case(world: World, store: Store) -> None:
    await world.put(patient("a"), patient("A", gender="male"))
    version = await store.read(ResourceKey("Patient", "A"))
    assert version is not None and b"male" in version.body.data
    assert await world.found("Patient?_id=a") == {"a"}
