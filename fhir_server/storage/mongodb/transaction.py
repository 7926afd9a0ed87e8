"""Transactions of several documents, tried again where MongoDB says that they may be, and rid of dead writers.

Manual: https://www.mongodb.com/docs/manual/core/transactions-in-applications/
        https://www.mongodb.com/docs/manual/core/transactions-production-consideration/
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Final

import pymongo
from bson import Binary
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConnectionFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from fhir_server.storage.base import WriteBusy
from fhir_server.storage.mongodb.document import Document

_TRANSIENT: Final = "TransientTransactionError"
UNKNOWN: Final = "UnknownTransactionCommitResult"
_FIRST_WAIT, _LONGEST_WAIT = 0.002, 0.1
_PARTS: Final = 4
"""A writer tells that it is alive, and those who wait look for dead ones, so many times in a lease."""

Body = Callable[[AsyncClientSession], Awaitable[bool]]
"""What a transaction does; it is committed if the answer is yes."""


class Transactions:
    """The transactions of one writer, one after the other, in a session of its own.

    A connection that ends does not end its transaction: what a killed process has locked stays locked for as long as
    transactions may live (`transactionLifetimeLimitSeconds`, 60). So each writer notes its session in `writers` and
    how it is alive there, and who waits for one that has been silent for a lease ends that session.
    """

    def __init__(self, client: AsyncMongoClient[Document], database: AsyncDatabase[Document], lease: float) -> None:
        self._client, self._database, self._lease = client, database, lease
        self._session: AsyncClientSession | None = None
        self._told = 0.0
        self._beats: asyncio.Task[None] | None = None
        self._open = False

    async def run(self, body: Body, patience: float) -> None:
        """Run a transaction; where others were faster it runs again from its beginning.

        Raises:
            WriteBusy: it did not come about in so many seconds; nothing is stored.
            PyMongoError: with the label UnknownTransactionCommitResult, it may be stored.
        """
        loop = asyncio.get_running_loop()
        until, wait, look = loop.time() + patience, _FIRST_WAIT, loop.time() + self._lease / _PARTS
        session = await self._noted()
        while True:
            try:
                with self._beating():
                    await self._tried(session, body, until)
                return
            except PyMongoError as error:
                over = loop.time() > until
                if not error.has_error_label(_TRANSIENT) or (over and isinstance(error, ConnectionFailure)):
                    raise
                if over:
                    raise WriteBusy("the turn to write did not come") from error
            if loop.time() > look:
                look = loop.time() + self._lease / _PARTS
                await self._end_silent()
            await asyncio.sleep(random.uniform(wait / 2, wait))  # noqa: S311 - spreads those who wait
            wait = min(wait * 2, _LONGEST_WAIT)

    async def close(self) -> None:
        """End the session."""
        session, self._session = self._session, None
        if self._beats is not None:
            self._beats.cancel()
        if session is not None:
            with suppress(PyMongoError):
                await self._database["writers"].delete_one({"_id": session.session_id["id"]})
            await session.end_session()

    async def _tried(self, session: AsyncClientSession, body: Body, until: float) -> None:
        """Within a transaction the concerns of collections and of the address do not count, so they are said here."""
        concern = self._database.write_concern
        await session.start_transaction(ReadConcern("snapshot"), concern, ReadPreference.PRIMARY)
        try:
            kept = await body(session)
        except BaseException:
            await session.abort_transaction()
            raise
        if kept:
            await self._committed(session, until)
        else:
            await session.abort_transaction()

    async def _committed(self, session: AsyncClientSession, until: float) -> None:
        """Commit; a commit may be sent again, for the server knows what became of the transaction."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                await session.commit_transaction()
            except PyMongoError as error:
                if not error.has_error_label(UNKNOWN) or error.timeout or loop.time() > until:
                    raise
            else:
                return
            await asyncio.sleep(random.uniform(0, _LONGEST_WAIT))  # noqa: S311

    async def _noted(self) -> AsyncClientSession:
        if self._session is None:
            self._session = self._client.start_session(causal_consistency=False)
            self._told = 0.0
        if asyncio.get_running_loop().time() - self._told > self._lease / _PARTS:
            await self._alive(self._session)
        return self._session

    async def _alive(self, session: AsyncClientSession) -> None:
        """Tell by the server's clock, for those of nodes differ."""
        told = asyncio.get_running_loop().time()
        mine = {"_id": session.session_id["id"]}
        await self._database["writers"].update_one(mine, {"$currentDate": {"at": True}}, upsert=True)
        self._told = told

    @contextmanager
    def _beating(self) -> Iterator[None]:
        """Have `_beat` run meanwhile. It is not cancelled, for the driver does not always let go when it is."""
        self._open = True
        if self._beats is None or self._beats.done():
            self._beats = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            self._open = False

    async def _beat(self) -> None:
        await asyncio.sleep(self._lease / _PARTS)
        while self._open and self._session is not None:
            with suppress(PyMongoError), pymongo.timeout(self._lease):
                await self._alive(self._session)
            await asyncio.sleep(self._lease / _PARTS)

    async def _end_silent(self) -> None:
        """End the sessions of writers that have not told of themselves for a lease; one that lives begins anew.

        Manual: https://www.mongodb.com/docs/manual/reference/command/killSessions/
        """
        with suppress(PyMongoError):
            now = (await self._client.admin.command("hello"))["localTime"]
            silent = {"at": {"$lt": now - timedelta(seconds=self._lease)}}
            async for each in self._database["writers"].find(silent, {"_id": 1}):
                await self._client.admin.command("killSessions", [{"id": Binary.from_uuid(each["_id"])}])
                await self._database["writers"].delete_one({"_id": each["_id"], **silent})
