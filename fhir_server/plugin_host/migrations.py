"""Migrations of the records of plugins: run once for each tenant when a collection has a higher version than before.

A migration that is cut off goes on where it was; each record is changed once.
"""

from collections.abc import Sequence
from typing import Any, Final

from fhir_server.plugins.registrations import Migration
from fhir_server.storage.base import Collection, RecordChange, RecordChanged, Store, StoreProvider

STATE: Final = Collection("server.migrations")
_PAGE: Final = 500


class Readiness:
    """Makes the collections of plugins ready in each tenant, as it is opened."""

    def __init__(
        self, stores: StoreProvider, collections: Sequence[Collection], migrations: Sequence[Migration]
    ) -> None:
        self._stores, self._collections, self._migrations = stores, collections, migrations

    async def __call__(self, tenant: str, store: Store) -> None:
        """Declare the collections; where records have to be brought to another version, one process does it."""
        before = {each.name: each.version for each in await store.records.collections()}
        if all(before.get(each.name, each.version) == each.version for each in self._collections):
            for each in self._collections:
                await store.declare(each)
            return
        async with self._stores.lead(f"migrate-{tenant}"):
            await migrate(store, self._collections, self._migrations)


async def migrate(store: Store, collections: Sequence[Collection], migrations: Sequence[Migration]) -> int:
    """Bring the records of a tenant to the versions that are declared, then declare them; return how many changed.

    Only one process may do this at a time.

    Raises:
        ValueError: there is no way from the version that is stored to the one that is declared.
    """
    await store.declare(STATE)
    before = {each.name: each.version for each in await store.records.collections()}
    changed = 0
    for collection in collections:
        at = await _reached(store, collection.name, before.get(collection.name, collection.version))
        for step in _way(collection, at, migrations):
            changed += await _run(store, step)
        await store.declare(collection)
    return changed


async def _reached(store: Store, name: str, declared: int) -> int:
    record = await store.records.get(STATE.name, name)
    value: Any = record.value if record else {}
    return int(value.get("version", declared))


def _way(collection: Collection, at: int, migrations: Sequence[Migration]) -> list[Migration]:
    steps = sorted((m for m in migrations if m.collection == collection.name), key=lambda each: each.version)
    way = [each for each in steps if at < each.version <= collection.version]
    if [each.version for each in way] != list(range(at + 1, collection.version + 1)):
        said = f"{collection.name} is at version {at} and declared as {collection.version}"
        raise ValueError(f"{said}: register_migrations lacks steps")
    return way


async def _run(store: Store, step: Migration) -> int:
    """Change all records of a collection; how far it came is written with each page."""
    record = await store.records.get(STATE.name, f"{step.collection}@{step.version}")
    value: Any = record.value if record else {}
    after: str | None = value.get("after") or None
    done = 0
    while page := await store.records.find(step.collection, after=after, limit=_PAGE):
        changes = [RecordChange(step.collection, each.key, step.change(each.value), each.revision) for each in page]
        note = RecordChange(STATE.name, f"{step.collection}@{step.version}", {"after": page[-1].key})
        try:
            await store.commit((), [*changes, note])
        except RecordChanged:
            continue  # somebody wrote meanwhile: the page is read again
        after, done = page[-1].key, done + len(changes)
    await store.commit(
        (),
        [
            RecordChange(STATE.name, step.collection, {"version": step.version}),
            RecordChange(STATE.name, f"{step.collection}@{step.version}", None),
        ],
    )
    return done
