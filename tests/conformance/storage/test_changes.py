"""The change feed: whole commits in the order of the log."""

from fhir_server.storage.base import Store
from tests.conformance.storage.world import World, delete, observation, patient


async def test_changes_come_in_the_order_of_the_log(world: World, store: Store) -> None:
    await world.put(patient("a"), patient("b"))
    await world.put(observation("o"))
    await store.commit([delete("Patient", "a")])
    versions = await store.changes(0)
    assert [(v.key.id, v.version, v.deleted) for v in versions] == [
        ("a", 1, False),
        ("b", 1, False),
        ("o", 1, False),
        ("a", 2, True),
    ]


async def test_changes_begin_after_the_txid(world: World, store: Store) -> None:
    first = await world.put(patient("a"))
    second = await world.put(patient("b"))
    assert [v.key.id for v in await store.changes(first.txid)] == ["b"]
    assert await store.changes(second.txid) == []


async def test_a_reader_that_goes_on_from_the_last_txid_misses_nothing(world: World, store: Store) -> None:
    for n in range(7):
        await world.put(*(patient(f"p{n}-{m}") for m in range(n % 3 + 1)))
    for limit in (1, 2, 3, 100):
        seen, after = [], 0
        while versions := await store.changes(after, limit):
            seen += versions
            after = versions[-1].txid
        assert seen == await store.changes(0)


async def test_a_commit_is_never_cut(world: World, store: Store) -> None:
    await world.put(*(patient(f"p{n}") for n in range(10)))
    await world.put(patient("z"))
    assert len(await store.changes(0, limit=3)) == 10


async def test_changes_carry_bodies(world: World, store: Store) -> None:
    result = await world.put(patient("a", gender="male"))
    assert await store.changes(0) == [result.written[0].version]


async def test_last_txid_is_that_of_the_newest_commit(world: World, store: Store) -> None:
    result = await world.put(patient("a"))
    assert await store.last_txid() == result.txid
    assert (await store.changes(0))[-1].txid == result.txid
