"""What is done now and then: the index of superseded versions goes once nobody can ask for their instant."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fhir_server.settings import Settings
from fhir_server.storage.base import HOLDS, Where
from fhir_server.storage.mongodb.document import INDEXED, OPEN, Document
from fhir_server.storage.mongodb.records import MongoRecords
from fhir_server.storage.mongodb.rows import Snapshot

_UNINDEXED: Final[Document] = {"$unset": dict.fromkeys(INDEXED, "")}


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Knows which instants can still be asked for."""

    records: MongoRecords
    settings: Settings
    clock: Callable[[], int]

    async def oldest_held(self) -> int | None:
        """Return the oldest txid that somebody reads for longer; None where none is."""
        try:
            found = await self.records.find(HOLDS.name, [Where("until", ">", self.clock())], order="txid", limit=1)
        except KeyError:
            return None
        return int(str(found[0].value["txid"])) if found else None

    async def is_gone(self, snapshot: Snapshot) -> bool:
        """Tell whether an instant can no longer be asked for: what superseded it is older than a page link."""
        match = {"x": {"$gt": snapshot.txid}}
        later = await snapshot.database["versions"].find_one(match, {"u": 1}, sort=[("x", 1)], session=snapshot.session)
        if later is None or later["u"] >= self.clock() - self.settings.link_life * 1000:
            return False
        held = await self.oldest_held()
        return held is None or held > snapshot.txid

    async def sweep(self, snapshot: Snapshot) -> int:
        """Take superseded versions out of the index; return how many. `snapshot` is of the newest commit."""
        limit = self.clock() - self.settings.link_life * 1000
        held = await self.oldest_held()
        ended: Document = {"$lt": OPEN} if held is None else {"$lt": min(OPEN, held)}
        match: Document = {"to": ended, "end": {"$lt": limit, "$exists": True}, "k": {"$exists": True}}
        done = await snapshot.database["versions"].update_many(match, _UNINDEXED)
        return done.modified_count
