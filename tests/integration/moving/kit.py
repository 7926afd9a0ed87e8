"""A store with one thing of each kind, and ends of moves."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from fhir_server.audit.events import Agent, Event, agent_text, row_of
from fhir_server.audit.ledger import Ledger
from fhir_server.model.keys import ResourceKey
from fhir_server.serving.moving.ends import End
from fhir_server.serving.moving.move import Move, Wishes
from fhir_server.serving.moving.report import Report
from fhir_server.settings import Settings
from fhir_server.storage.base import BlobChange, Collection, RecordChange, RecordField, Store
from fhir_server.storage.mongodb.store import open_alone
from fhir_server.storage.sqlite.store import open_store
from tests.conformance.storage.library import LIBRARY
from tests.conformance.storage.world import BASE, Clock, World, delete, extract, observation, patient
from tests.servers.mongodb import fresh, mongodb_url
from tests.unit.encryption.kit import ready

THINGS = Collection("test.things", (RecordField("size", "integer"), RecordField("tags")), patient="owner", version=3)


def end(engine: str, folder: Path, **values: Any) -> End:
    """Return an empty place for an installation."""
    base = {"base_url": BASE, "durable": False, "reserve_bytes": 0, "data_dir": folder / engine, **values}
    if engine == "encrypted":
        return End(ready(**base)[0])
    if engine == "mongodb":
        where = {"mongodb_url": mongodb_url(), "mongodb_database": fresh("m"), "mongodb_lease": 1}
        return End(Settings.model_validate({**base, "storage": "mongodb", **where}))
    return End(Settings.model_validate(base))


async def open_end(place: End, clock: Callable[[], int], tenant: str = "default") -> Store:
    """Open a store of an installation as servers do."""
    settings = place.settings
    if settings.storage == "mongodb":
        return await open_alone(f"{settings.mongodb_database}_{tenant}", settings, clock)
    return await open_store(settings.data_dir / "tenants" / tenant, settings, clock, extract)


async def in_store(place: End, work: Callable[[World], Awaitable[Any]], tenant: str = "default") -> Any:
    """Do something with a store, and close it."""
    clock = Clock()
    store = await open_end(place, clock, tenant)
    try:
        return await work(World(store, clock, place.settings))
    finally:
        await store.close()


async def fill(world: World) -> None:
    """Write resources with a history, deletions and purges, records, audit rows with heads, and large objects."""
    store = world.store
    await world.put(*LIBRARY)
    for number in range(3):
        world.clock.now += 1_000
        await world.put({**LIBRARY[0], "active": bool(number % 2)}, observation(f"o{number}"))
    await store.commit([delete("Observation", "o0")])
    await store.commit([delete("Observation", "o1")])
    await world.put(observation("o1", note=[{"text": "again"}]), patient("erased"), patient("half-erased"))
    await world.put(patient("erased", active=True), patient("half-erased", active=True))
    await store.commit([delete("Patient", "half-erased")])
    await store.purge(ResourceKey("Patient", "erased"), history_only=False)
    await store.purge(ResourceKey("Patient", "half-erased"), history_only=True)
    await _records(store)
    blobs = [await store.blobs.stage(_chunks(size)) for size in (0, 10, 2_500_000)]
    of = ("ann", None, "bob")
    await store.commit((), (), [BlobChange(ref.id, True, each) for ref, each in zip(blobs, of, strict=True)])
    await store.blobs.stage(_chunks(5))
    await _audit(store)


async def _records(store: Store) -> None:
    await store.declare(THINGS)
    values = [{"size": number, "tags": [f"t{number % 3}", "all"], "owner": "ann", "n": 1.5} for number in range(20)]
    await store.commit((), [RecordChange(THINGS.name, f"k{number:02}", value) for number, value in enumerate(values)])
    await store.commit((), [RecordChange(THINGS.name, "k03", {"size": 30, "ü": "\u2028"}, expected=1)])
    await store.commit((), [RecordChange(THINGS.name, "k04", None)])


async def _audit(store: Store) -> None:
    agents = [agent_text(Agent(user=f"u{number}", subject=f"Patient/p{number}")) for number in range(3)]
    events = [Event("read", 200, f"Patient/p{number % 7}", 1, (f"p{number % 7}",)) for number in range(600)]
    rows = [row_of(number * 10, agents[number % 3], event) for number, event in enumerate(events)]
    await store.audit.append(rows[:300])
    await Ledger(store, lambda: 5_000).head()
    await store.audit.append(rows[300:])
    await Ledger(store, lambda: 9_000).head()


async def _chunks(size: int) -> AsyncIterator[bytes]:
    for start in range(0, size, 100_000):
        yield bytes(min(100_000, size - start))


async def moved(source: End, target: End, wishes: Wishes | None = None) -> Report:
    """Move an installation."""
    async with Move.opened(source, target, wishes or Wishes(), lambda stage, part, done: None) as move:
        return await move.run()
