"""What authority has no use for is removed, and nothing else."""

from fhir_server.auth.expired import sweep_expired
from fhir_server.auth.records import COLLECTIONS, GRANTS, ONCE, TOKENS
from fhir_server.settings import Settings
from fhir_server.storage.base import RecordChange
from fhir_server.storage.memory import MemoryProvider

NOW, DAY = 1_700_000_000_000, 86_400_000


async def test_what_expired_a_day_ago_goes_and_the_rest_stays() -> None:
    store = await MemoryProvider(Settings(), lambda: NOW).open("default")
    for collection in COLLECTIONS:
        await store.declare(collection)
    ends = {"long ago": NOW - 2 * DAY, "today": NOW - 1, "later": NOW + DAY}
    await store.commit((), [RecordChange(TOKENS.name, key, {"expires": end}) for key, end in ends.items()])
    await store.commit((), [RecordChange(ONCE.name, f"{n}", {"expires": NOW - 2 * DAY}) for n in range(1_500)])
    await store.commit((), [RecordChange(GRANTS.name, "for ever", {"client": "a"})])
    assert await sweep_expired(store, NOW) == 1_501
    assert {record.key for record in await store.records.find(TOKENS.name)} == {"today", "later"}
    assert await store.records.find(ONCE.name) == []
    assert await store.records.get(GRANTS.name, "for ever") is not None
    assert await sweep_expired(store, NOW) == 0
