"""Erasure: what goes from the store goes from its index, and comes back by no write that was on its way."""

from collections.abc import Sequence

import msgspec

from fhir_server.storage.base import Store
from fhir_server.storage.elasticsearch import state
from fhir_server.storage.elasticsearch.connection import Connection, IndexDown
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
    """Go on with erasures that were broken off; return of how many."""
    left = await state.noted(store)
    for key, wanted in left.items():
        await take_out(store, index, wanted)
        await state.forget(store, key)
    return len(left)


async def residue(index: TenantIndex, probes: Sequence[bytes]) -> list[int]:
    """Return how often each text stands in what the indexes hold, after all that was deleted is out of their files."""
    found = [0] * len(probes)
    live, others = await index.names()
    for name in ([live] if live else []) + others:
        await index.refresh(name)
        await index.expunge(name)
        async for hit in index.each(name, {"exists": {"field": "t"}}):
            raw = msgspec.json.encode(hit["_source"])
            found = [number + raw.count(probe) for number, probe in zip(found, probes, strict=True)]
    return found


async def is_there(connection: Connection) -> bool:
    """Tell whether Elasticsearch answers."""
    try:
        await connection.ask(connection.client.cluster.health(timeout="1s"))
    except IndexDown:
        return False
    return True
