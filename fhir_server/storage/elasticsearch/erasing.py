"""Erasure: what goes from the store goes from its index, and comes back by no write that was on its way."""

from collections.abc import Sequence

import msgspec

from fhir_server.storage.base import Store
from fhir_server.storage.elasticsearch import state
from fhir_server.storage.elasticsearch.connection import Connection, IndexDown, Refused
from fhir_server.storage.elasticsearch.document import erased, id_of
from fhir_server.storage.elasticsearch.index import Action, TenantIndex


async def take_out(store: Store, index: TenantIndex, wanted: Sequence[tuple[str, int]]) -> None:
    """Delete documents up to a version of each name, in all indexes of the tenant; they are found no more on return.

    The deletion has a version above that of every commit so far, so a write of them that comes late is refused.
    Raises IndexDown.
    """
    limit = erased(await store.last_txid())
    live, others = await index.names()
    for name in ([live] if live else []) + others:
        await index.write(name, [action for each, upto in wanted for action in _deletions(each, upto, limit)])
        await index.refresh(name)


def _deletions(name: str, upto: int, limit: int) -> list[Action]:
    return [
        ({"delete": {"_id": id_of(name, number), "version": limit, "version_type": "external_gte"}}, None)
        for number in range(1, upto + 1)
    ]


async def finish(store: Store, index: TenantIndex) -> int:
    """Go on with erasures: end those that were broken off, and take what was deleted out of the files when this is
    called again, a minute later; return how many are left."""
    left = await state.noted(store)
    for each in left.values():
        if each.wanted:
            await take_out(store, index, each.wanted)
    if any(each.seen for each in left.values()):
        await expunge(index)
    for key, each in left.items():
        if each.seen:
            await state.forget(store, key)
        else:
            await state.note_erased(store, key, seen=True)
    return sum(not each.seen for each in left.values())


async def expunge(index: TenantIndex) -> None:
    """Take what was deleted out of the files of all indexes of the tenant."""
    live, others = await index.names()
    for name in ([live] if live else []) + others:
        await index.expunge(name)


async def residue(index: TenantIndex, probes: Sequence[bytes]) -> list[int]:
    """Return how often each text stands in what can be had of the indexes."""
    found = [0] * len(probes)
    live, others = await index.names()
    for name in ([live] if live else []) + others:
        await index.refresh(name)
        async for hit in index.each(name, {"exists": {"field": "t"}}):
            raw = msgspec.json.encode(hit["_source"])
            found = [number + raw.count(probe) for number, probe in zip(found, probes, strict=True)]
    return found


async def is_there(connection: Connection) -> bool:
    """Tell whether Elasticsearch answers."""
    try:
        await connection.ask(connection.client.cluster.health(timeout="1s"))
    except (IndexDown, Refused):
        return False
    return True
