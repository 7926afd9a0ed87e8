"""The turn to write on servers without transactions: who has it, how one that broke off ended, and what is mended.

Who inserts the one document of `turns` has the turn until its lease is over. A writer that was cut off may come back,
and commands that it sent may be executed late, after another has taken the turn. None of them does harm:

- the move of the head names an epoch, which everybody who takes the turn or mends one raises first;
- versions are inserted in order behind a document whose place the mender takes, and end others behind the same gate;
- txids and pids that a broken turn may have used are never given out again;
- audit rows, records and the journal bear the epoch or the token of their turn.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import pymongo
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from fhir_server.storage.base import StoreUnavailable, WriteBusy
from fhir_server.storage.mongodb.document import OPEN, Document

HEAD: Final = {"_id": "head"}
FREE: Final = ""
BURNED: Final = 1_000_000
"""Numbers that are left out after a turn that broke off: more than any turn can have used."""
FATES_LIFE: Final = 86_400
"""Seconds for which it is known how a turn that broke off ended."""

_TURN: Final = {"_id": "turn"}
_FIRST_WAIT, _LONGEST_WAIT = 0.002, 0.1
_PART_OF_LEASE: Final = 0.8
"""The rest of a lease is for what is on its way when the time is up."""

Apply = Callable[[Document], Awaitable[None]]
"""Completes an entry of the journal; doing it twice is once."""


class TurnLost(WriteBusy):
    """Its lease was over, and another has the turn; nothing is stored."""


@dataclass(frozen=True, slots=True)
class Held:
    """The turn, as it was taken. until: when nothing more may be written, by the monotonic clock."""

    head: Document
    token: str
    until: float

    @property
    def left(self) -> float:
        """Seconds that are left of it."""
        return max(0.0, self.until - time.monotonic())


class Fence:
    """The turn of one tenant. `apply` completes the journal of a turn that was published."""

    def __init__(self, database: AsyncDatabase[Document], holder: str, lease: int, apply: Apply) -> None:
        self._database, self._holder, self._lease, self._apply = database, holder, float(lease), apply

    async def head(self) -> Document:
        """Return where the log ends."""
        found = await self._database["meta"].find_one(HEAD)
        if found is None:
            raise StoreUnavailable("the store is not there")
        return found

    async def take(self, patience: float) -> Held:
        """Take the turn, and mend what the last one left. Raises WriteBusy."""
        token, give_up, wait = secrets.token_hex(8), time.monotonic() + patience, _FIRST_WAIT
        while True:
            until = time.monotonic() + self._lease * _PART_OF_LEASE
            if await self._inserted(token):
                break
            if time.monotonic() > give_up:
                raise WriteBusy("the turn to write did not come")
            await asyncio.sleep(random.uniform(wait / 2, wait))  # noqa: S311 - spreads those who wait
            wait = min(wait * 2, _LONGEST_WAIT)
        with pymongo.timeout(max(0.1, until - time.monotonic())):
            return Held(await self._entered(token), token, until)

    async def _inserted(self, token: str) -> bool:
        """Tell whether the turn was free; one whose lease is over, or that this process lost, is taken away first."""
        turns, now = self._database["turns"], time.time()
        try:
            await turns.insert_one({**_TURN, "token": token, "holder": self._holder, "until": now + self._lease})
        except DuplicateKeyError:
            held = await turns.find_one(_TURN)
            if held is not None and (held["until"] < now or held["holder"] == self._holder):
                await turns.delete_one({**_TURN, "token": held.get("token"), "until": held["until"]})
            return False
        return True

    async def _entered(self, token: str) -> Document:
        """Write one's token into the head, which fences off who was there before."""
        while True:
            before = await self.head()
            mine = {"$set": {"holder": token}, "$inc": {"epoch": 1}}
            match = {**HEAD, "epoch": before["epoch"]}
            if (await self._database["meta"].update_one(match, mine)).matched_count:
                break
        if before["holder"] == FREE:
            return {**before, "epoch": before["epoch"] + 1}
        head = await self.head()  # again: until it was fenced off, the last move may have come
        await self._tell(before["holder"], published=head.get("last") == before["holder"])
        return await self.mend(head)

    async def _tell(self, token: str, *, published: bool) -> None:
        fate = {"_id": token, "published": published, "at": time.time()}
        await self._database["fates"].replace_one({"_id": token}, fate, upsert=True)

    async def free(self, held: Held) -> None:
        """Give the turn back."""
        await self._free(held.token, held.head["epoch"])

    async def _free(self, token: str, epoch: int) -> None:
        await self._database["meta"].update_one({**HEAD, "epoch": epoch, "holder": token}, {"$set": {"holder": FREE}})
        await self._database["turns"].delete_one({**_TURN, "token": token})

    async def settle(self, held: Held) -> bool:
        """Find out whether a turn that broke off was published, and mend it while it is ours.

        Raises:
            StoreUnavailable: it cannot be found out now; ask again.
        """
        epoch = held.head["epoch"]
        await self._database["meta"].update_one({**HEAD, "epoch": epoch}, {"$inc": {"epoch": 1}})
        head = await self.head()
        if head["holder"] != held.token:
            fate = await self._database["fates"].find_one({"_id": held.token})
            if fate is None:
                raise StoreUnavailable("how a write ended is not known yet")
            return bool(fate["published"])
        if held.left:
            with pymongo.timeout(held.left):
                await self.mend(head)
                await self._free(held.token, head["epoch"])
        return bool(head.get("last") == held.token)

    async def mend(self, head: Document) -> Document:
        """Take back what was not published, complete what was; return the head. To be called once it is fenced."""
        txid, epoch = head["txid"], head["epoch"]
        newest = await self._barred(head)
        late = {"to": {"$gt": txid, "$lt": min(OPEN, txid + BURNED)}, "end": {"$exists": True}}
        await self._database["versions"].update_many(late, {"$set": {"to": OPEN}, "$unset": {"end": ""}})
        unpublished = {"_id": {"$gt": head["audit"]}, "w": {"$not": {"$gte": epoch}}}
        await self._database["audit"].delete_many(unpublished)
        async for written in self._database["journal"].find().sort([("_id", 1)]):
            # An entry of a release before this one has no token.
            if written["token"] == head.get("last") if "token" in written else written["txid"] <= txid:
                await self._apply(written)
            await self._database["journal"].delete_one({"_id": written["_id"]})
        burned = {"txid": txid + BURNED, "pid": newest + BURNED}
        done = await self._database["meta"].update_one({**HEAD, "epoch": epoch}, {"$set": burned})
        if done.matched_count == 0:
            raise TurnLost("the turn to write was over before what the last one left was mended")
        return {**head, **burned}

    async def _barred(self, head: Document) -> int:
        """Remove versions that were not published, and take the places of those that may still come.

        Return the highest pid that is taken.
        """
        versions, newest = self._database["versions"], head["pid"]
        while True:
            lost = [each["_id"] async for each in versions.find({"x": {"$gt": head["txid"]}}, {"_id": 1})]
            for pid in lost:
                await self._database["parts"].delete_many({"_id": {"$gte": f"{pid}:", "$lt": f"{pid};"}})
            if lost:
                await versions.delete_many({"_id": {"$in": lost}})
            newest = max([newest, *lost])
            added = [await self._bar(pid) for pid in sorted({head["pid"] + 1, newest + 1})]
            if not lost and not any(added):
                return int(newest + 1)

    async def _bar(self, pid: int) -> bool:
        """Take the place of a version; tell whether it was free, or is taken by one that has just come."""
        versions = self._database["versions"]
        try:
            await versions.insert_one({"_id": pid, "i": f"barred:{pid}", "v": 0})
        except DuplicateKeyError:
            there: Any = await versions.find_one({"_id": pid}, {"x": 1})
            return there is None or "x" in there
        return True
