"""Desk: what every step of authorization needs of one tenant."""

from collections.abc import Callable
from dataclasses import dataclass

from fhir_server.settings import Settings
from fhir_server.storage.base import Record, RecordChange, RecordChanged, Store


@dataclass(frozen=True, slots=True)
class Desk:
    """One tenant's records and rules.

    base: the URL of the FHIR endpoint, which is the audience of tokens. issuer: the URL of the authorization server.
    now: milliseconds since 1970 UTC.
    """

    store: Store
    settings: Settings
    base: str
    issuer: str
    now: Callable[[], int]

    async def get(self, collection: str, key: str) -> Record | None:
        """Return a record; one whose `expires` (milliseconds) has come is as if it were not there."""
        record = await self.store.records.get(collection, key)
        expires = record.value.get("expires") if record else None
        return None if isinstance(expires, int) and expires <= self.now() else record

    async def put(self, *changes: RecordChange) -> None:
        """Write records, all or none. Raises RecordChanged where an expected revision does not hold."""
        await self.store.commit((), changes)

    async def first(self, collection: str, key: str, life: float) -> bool:
        """Tell whether something is seen for the first time in `life` seconds, in all workers; remember it."""
        change = RecordChange(collection, key, {"expires": self.after(life)}, expected=0)
        try:
            await self.put(change)
        except RecordChanged:
            return False
        return True

    def after(self, seconds: float) -> int:
        """Return the time some seconds from now."""
        return self.now() + int(seconds * 1000)
