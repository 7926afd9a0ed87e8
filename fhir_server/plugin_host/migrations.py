"""Migrations of the records of plugins: run once for each tenant when a collection has a higher version than before.

A migration that is cut off goes on where it was; each record is changed once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any, Final

from fhir_server.plugins.registrations import Migration
from fhir_server.storage.base import Collection, RecordChange, RecordChanged, Store, StoreProvider

STATE: Final = Collection("server.migrations")
_PAGE: Final = 500

Change = Callable[[Mapping[str, Any]], Mapping[str, Any] | None]


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


async def migrate(
    store: Store, collections: Sequence[Collection], migrations: Sequence[Migration], *, finish: bool = False
) -> int:
    """Bring the records of a tenant to the versions that are declared, then declare them; return how many changed.

    Only one process may do this at a time. Steps that wait are left, with all after them, unless the upgrade is to be
    finished.

    Raises:
        ValueError: there is no way from the version that is stored to the one that is declared.
    """
    await store.declare(STATE)
    before = {each.name: each.version for each in await store.records.collections()}
    changed = 0
    for collection in collections:
        at = await _reached(store, collection.name, before.get(collection.name, collection.version))
        for step in takewhile(lambda step: finish or not step.waits, _way(collection, at, migrations)):
            changed += await _run(store, step, step.change, step.version)
            at = step.version
        await store.declare(replace(collection, version=at))
    return changed


async def undo(store: Store, collections: Sequence[Collection], migrations: Sequence[Migration]) -> list[str]:
    """Bring the records that the newest step of each collection has changed back to the version before; return what
    was done. Only one process may do this at a time, and none may work with them.

    Raises:
        ValueError: a step has no way back; nothing of its collection is changed.
    """
    await store.declare(STATE)
    before = {each.name: each.version for each in await store.records.collections()}
    done: list[str] = []
    for collection in collections:
        at = await _reached(store, collection.name, before.get(collection.name, collection.version))
        for step in (each for each in migrations if (each.collection, each.version) == (collection.name, at)):
            if step.back is None:
                raise ValueError(f"{collection.name} cannot go back from version {at}: restore a backup made before it")
            count = await _run(store, step, step.back, at - 1)
            await store.declare(replace(collection, version=at - 1))
            done.append(f"{collection.name}: {count} records are at version {at - 1} again")
    return done


async def waiting(store: Store, collections: Sequence[Collection], migrations: Sequence[Migration]) -> list[str]:
    """Return the steps that wait until the upgrade is finished, as `collection@version`."""
    await store.declare(STATE)
    before = {each.name: each.version for each in await store.records.collections()}
    return [
        f"{step.collection}@{step.version}"
        for each in collections
        for step in _way(each, await _reached(store, each.name, before.get(each.name, each.version)), migrations)
    ]


async def _reached(store: Store, name: str, declared: int) -> int:
    record = await store.records.get(STATE.name, name)
    value: Any = record.value if record else {}
    return int(value.get("version", declared))


def _way(collection: Collection, at: int, migrations: Sequence[Migration]) -> list[Migration]:
    if at > collection.version:
        said = f"{collection.name} is at version {at}, and this release knows {collection.version}"
        raise ValueError(f"{said}: run `fhir-server upgrade back` with the newer release, or restore a backup")
    steps = sorted((m for m in migrations if m.collection == collection.name), key=lambda each: each.version)
    way = [each for each in steps if at < each.version <= collection.version]
    if [each.version for each in way] != list(range(at + 1, collection.version + 1)):
        said = f"{collection.name} is at version {at} and declared as {collection.version}"
        raise ValueError(f"{said}: register_migrations lacks steps")
    return way


async def _run(store: Store, step: Migration, change: Change, to: int) -> int:
    """Change all records of a collection; how far it came is written with each page."""
    mark = f"{step.collection}@{to}"
    record = await store.records.get(STATE.name, mark)
    value: Any = record.value if record else {}
    after: str | None = value.get("after") or None
    done = 0
    while page := await store.records.find(step.collection, after=after, limit=_PAGE):
        changes = [RecordChange(step.collection, each.key, change(each.value), each.revision) for each in page]
        note = RecordChange(STATE.name, mark, {"after": page[-1].key})
        try:
            await store.commit((), [*changes, note])
        except RecordChanged:
            continue  # somebody wrote meanwhile: the page is read again
        after, done = page[-1].key, done + len(changes)
    await store.commit(
        (),
        [
            RecordChange(STATE.name, step.collection, {"version": to}),
            RecordChange(STATE.name, mark, None),
        ],
    )
    return done
