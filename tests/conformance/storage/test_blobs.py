"""Blobs: staged, attached by a commit, read in ranges, released."""

from collections.abc import AsyncIterator
from hashlib import sha256

import pytest

from fhir_server.model.keys import ResourceKey
from fhir_server.storage.base import BlobChange, BlobRef, Store, StoreError, VersionChanged
from tests.conformance.storage.world import World, change, patient

DATA = bytes(range(256)) * 2_000


async def chunks(data: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def read(store: Store, blob_id: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in await store.blobs.open(blob_id, start, end)])


async def attached(store: Store, data: bytes = DATA) -> BlobRef:
    ref = await store.blobs.stage(chunks(data))
    await store.commit((), (), [BlobChange(ref.id, attach=True)])
    return ref


async def test_staging_tells_size_and_digest(store: Store) -> None:
    ref = await store.blobs.stage(chunks(DATA))
    assert (ref.size, ref.sha256) == (len(DATA), sha256(DATA).hexdigest())


async def test_a_staged_blob_is_not_visible(store: Store) -> None:
    ref = await store.blobs.stage(chunks(DATA))
    assert await store.blobs.stat(ref.id) is None
    with pytest.raises(KeyError):
        await store.blobs.open(ref.id)


async def test_an_attached_blob_is_read_whole(store: Store) -> None:
    ref = await attached(store)
    assert await read(store, ref.id) == DATA
    assert await store.blobs.stat(ref.id) == ref


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, 10), (10, 20), (250_000, 270_000), (511_990, None), (511_990, 600_000), (5, 5), (600_000, None)],
)
async def test_ranges_are_half_open(store: Store, start: int, end: int | None) -> None:
    ref = await attached(store)
    assert await read(store, ref.id, start, end) == DATA[start:end]


async def test_an_empty_blob_is_a_blob(store: Store) -> None:
    ref = await attached(store, b"")
    assert await read(store, ref.id) == b""
    assert await store.blobs.stat(ref.id) == ref


async def test_two_blobs_of_the_same_bytes_have_ids_of_their_own(store: Store) -> None:
    assert (await attached(store)).id != (await attached(store)).id


async def test_a_released_blob_is_gone(store: Store) -> None:
    ref = await attached(store)
    await store.commit((), (), [BlobChange(ref.id, attach=False)])
    assert await store.blobs.stat(ref.id) is None
    with pytest.raises(KeyError):
        await store.blobs.open(ref.id)


async def test_attaching_what_was_never_staged_is_refused_with_the_whole_commit(store: Store) -> None:
    with pytest.raises(StoreError):
        await store.commit([change(patient("a"))], (), [BlobChange("nothing", attach=True)])
    assert await store.read(ResourceKey("Patient", "a")) is None


async def test_a_refused_commit_attaches_nothing(world: World, store: Store) -> None:
    await world.put(patient("a"))
    ref = await store.blobs.stage(chunks(DATA))
    with pytest.raises(VersionChanged):
        await store.commit([change(patient("a"), expected=9)], (), [BlobChange(ref.id, attach=True)])
    assert await store.blobs.stat(ref.id) is None
    await store.commit((), (), [BlobChange(ref.id, attach=True)])
    assert await read(store, ref.id) == DATA


async def test_a_refused_commit_releases_nothing(world: World, store: Store) -> None:
    await world.put(patient("a"))
    ref = await attached(store)
    with pytest.raises(VersionChanged):
        await store.commit([change(patient("a"), expected=9)], (), [BlobChange(ref.id, attach=False)])
    assert await read(store, ref.id) == DATA


async def test_an_interrupted_staging_leaves_nothing(store: Store) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise RuntimeError("the client went away")

    with pytest.raises(RuntimeError):
        await store.blobs.stage(broken())


async def test_a_staged_blob_that_is_discarded_cannot_be_attached(store: Store) -> None:
    ref = await store.blobs.stage(chunks(DATA))
    await store.blobs.discard(ref.id)
    with pytest.raises(StoreError):
        await store.commit((), (), [BlobChange(ref.id, attach=True)])


async def test_an_attached_blob_cannot_be_discarded(store: Store) -> None:
    ref = await attached(store)
    await store.blobs.discard(ref.id)
    assert await read(store, ref.id) == DATA


async def test_an_attached_blob_may_become_that_of_a_patient(store: Store) -> None:
    ref = await attached(store)
    await store.commit((), (), [BlobChange(ref.id, attach=True, patient="p1")])
    await store.commit((), (), [BlobChange(ref.id, attach=True, patient="p2")])
    assert await store.blobs.of_patient("p1") == []
    assert await store.blobs.of_patient("p2") == [ref.id]
    assert await read(store, ref.id) == DATA
