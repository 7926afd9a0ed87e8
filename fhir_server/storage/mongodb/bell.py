"""Bell: how processes of all nodes wake the one that listens.

Every commit moves the head of its tenant and every other ring counts up beside it, so who listens follows these
documents: by a change stream where the server has them, else by asking now and then. What a ring has after the name of
the tenant (`north+`: a job waits) is part of the name of its document, `bell+`.
"""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pymongo
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure, PyMongoError

from fhir_server.resilience import ended
from fhir_server.storage.base import StoreError
from fhir_server.storage.mongodb.document import Document

logger = logging.getLogger(__name__)

_EVERY: Final = 0.25
"""Seconds between two looks where there are no change streams."""
_AGAIN: Final = 1.0
_DEAF: Final = 60.0
"""Seconds until a change stream is asked for again that the server does not give."""
_WITHIN: Final = 5.0
"""Seconds in which a look must be answered, for a server may hang."""
_LOST: Final = (136, 222, 234, 260, 280, 286)
"""The log of the server, or a resume token, does not reach back so far.

Source: https://www.mongodb.com/docs/manual/reference/error-codes/
"""
_HEAD: Final = "head"
_BELL: Final = "bell"
_FOLLOWED: Final = f"^({_HEAD}$|{_BELL})"
_ENDING: Final = re.compile(r"[^a-z0-9_-]*\Z")
"""What follows the name of a tenant in a ring."""


class Bell:
    """`names` gives the databases of all known tenants by their names; `prefix` is what all of them begin with."""

    def __init__(
        self,
        client: AsyncMongoClient[Document],
        prefix: str,
        names: Callable[[], dict[str, str]],
        streams: Callable[[], bool],
    ) -> None:
        self._client, self._prefix, self._names, self._streams = client, prefix, names, streams
        self._heard: list[Callable[[str], None]] = []
        self._ringing: set[asyncio.Task[None]] = set()
        self._seen: dict[str, dict[str, Any]] = {}
        self._token: Any = None
        self._lost = False
        self._deaf_until = 0.0
        self._told = False

    def ring(self, tenant: str, *, told: bool) -> None:
        """Have whoever listens look at a tenant; `told`: the head of the tenant has moved, so others know already."""
        for heard in tuple(self._heard):
            heard(tenant)
        if not told and not self._heard:
            task = asyncio.create_task(self._count(tenant))
            self._ringing.add(task)
            task.add_done_callback(self._ringing.discard)

    async def _count(self, ring: str) -> None:
        ending = _ending(ring)
        try:
            meta = self._client[self._names()[ring.removesuffix(ending)]]["meta"]
            with pymongo.timeout(_WITHIN):
                await meta.update_one({"_id": f"{_BELL}{ending}"}, {"$inc": {"rings": 1}}, upsert=True)
        except (PyMongoError, StoreError, KeyError):
            logger.warning("a ring was lost; what it was about is found a little later")

    @asynccontextmanager
    async def listen(self, heard: Callable[[str], None]) -> AsyncIterator[None]:
        """Have `heard(tenant)` called for each ring."""
        self._heard.append(heard)
        following = asyncio.create_task(self._follow()) if len(self._heard) == 1 else None
        try:
            yield
        finally:
            self._heard.remove(heard)
            await ended(following)

    async def close(self) -> None:
        """Ring no more."""
        await asyncio.gather(*self._ringing, return_exceptions=True)

    async def _follow(self) -> None:
        while True:
            try:
                if self._has_stream():
                    await self._stream()
                else:
                    await self._look()
            except OperationFailure as error:
                self._token, self._lost = None, True
                if error.code not in _LOST:
                    self._without(error)
                await asyncio.sleep(_AGAIN)
            except (PyMongoError, StoreError):
                self._lost = self._lost or self._token is None
                await asyncio.sleep(_AGAIN)

    def _has_stream(self) -> bool:
        return self._streams() and time.monotonic() >= self._deaf_until

    def _without(self, error: OperationFailure) -> None:
        """Ask now and then instead: the user may not watch, or what imitates MongoDB has no streams."""
        self._deaf_until = time.monotonic() + _DEAF
        if not self._told:
            self._told = True
            logger.warning(
                "the database gives no change stream (code %s), so each tenant is asked for what is new every %s s; "
                "the user needs `find` and `changeStream` on all databases, which the role readAnyDatabase has",
                error.code, _EVERY,
            )  # fmt: skip

    async def _stream(self) -> None:
        """Follow from where the last stream ended; the driver itself goes on after one error.

        Manual: https://www.mongodb.com/docs/manual/changeStreams/#resume-a-change-stream
        """
        match = [{"$match": {"ns.coll": "meta", "documentKey._id": {"$regex": _FOLLOWED}}}]
        async with await self._client.watch(match, resume_after=self._token, max_await_time_ms=5_000) as changes:
            self._tell_lost()  # only now, for what happens before it is followed is not seen either
            while changes.alive:
                change = await changes.try_next()
                self._token = changes.resume_token
                if change is None:
                    continue
                # By its name, for a tenant that another node has just made is not known here yet.
                database: str = change["ns"]["db"]
                if database.startswith(self._prefix):
                    self._tell(database.removeprefix(self._prefix), change["documentKey"]["_id"])

    def _tell_lost(self) -> None:
        """What happened since the last stream, or look, is not known, so everybody looks."""
        if self._lost:
            self._lost = False
            for tenant in self._names():
                self._tell(tenant, _HEAD)

    async def _look(self) -> None:
        seen = self._seen
        while not self._has_stream():
            first = not seen
            for tenant, database in self._names().items():
                with pymongo.timeout(_WITHIN):
                    found = self._client[database]["meta"].find({"_id": {"$regex": _FOLLOWED}}, {"txid": 1, "rings": 1})
                    now = {each["_id"]: (each.get("txid"), each.get("rings")) async for each in found}
                # What a tenant has that was made since is new, whenever it is seen first.
                before = seen.get(tenant, now if first else {})
                seen[tenant] = now
                for name in (name for name, state in now.items() if before.get(name) != state):
                    self._tell(tenant, name)
            self._tell_lost()
            await asyncio.sleep(_EVERY)
        self._lost = True

    def _tell(self, tenant: str, name: str) -> None:
        """Tell of the document of a name, which has changed."""
        ring = tenant if name == _HEAD else f"{tenant}{name.removeprefix(_BELL)}"
        for heard in tuple(self._heard):
            heard(ring)


def _ending(ring: str) -> str:
    found = _ENDING.search(ring)
    return found[0] if found else ""
