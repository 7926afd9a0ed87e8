"""Removes what authority has no use for any more, so that tokens and codes do not fill the record for ever."""

from fhir_server.auth.records import CODES, COUNTERS, GRANTS, LAUNCHES, ONCE, RATES, SESSIONS, TOKENS
from fhir_server.storage.base import Collection, RecordChange, Store, Where

_EXPIRING = (CODES, COUNTERS, GRANTS, LAUNCHES, ONCE, RATES, SESSIONS, TOKENS)
_KEPT = 86_400_000
"""Milliseconds after its end for which a record stays: a second use is still told from something unknown."""
_AT_ONCE = 1_000


async def sweep_expired(store: Store, now: int) -> int:
    """Remove records that expired a day ago; return how many. `now` is milliseconds since 1970 UTC."""
    return sum([await _swept(store, collection, now - _KEPT) for collection in _EXPIRING])


async def _swept(store: Store, collection: Collection, before: int) -> int:
    await store.declare(collection)
    ended = (Where("expires", ">", 0), Where("expires", "<", before))
    count = 0
    while found := await store.records.find(collection.name, ended, limit=_AT_ONCE):
        await store.commit((), [RecordChange(collection.name, record.key, None) for record in found])
        count += len(found)
    return count
