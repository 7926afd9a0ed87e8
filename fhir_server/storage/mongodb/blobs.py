"""Large objects in pieces: `blobs` says what there is, `chunks` holds the bytes."""

import secrets
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Final

from bson import Binary
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from fhir_server.storage.base import BlobChange, BlobRef, StorageFault, StoreError
from fhir_server.storage.mongodb.connection import faults
from fhir_server.storage.mongodb.document import Document
from fhir_server.storage.mongodb.resilience import Guard, once, reading

CHUNK: Final = 1_048_576
"""Bytes of a piece."""
STAGED_LIFE: Final = 3_600
"""Seconds after which a staged blob that no commit attached is swept."""


class MongoBlobs:
    """Blobs of one store."""

    def __init__(self, database: AsyncDatabase[Document], guard: Guard | None = None) -> None:
        self.guard = guard
        self._blobs, self._chunks = database["blobs"], database["chunks"]

    async def stage(self, chunks: AsyncIterator[bytes], blob_id: str = "") -> BlobRef:
        """Write the bytes durably under a new random id, or the one given."""
        blob_id, digest, size, number = blob_id or secrets.token_hex(16), sha256(), 0, 0
        await self._put(self._blobs, {"_id": blob_id, "staged": time.time()})
        try:
            async for piece in _pieces(chunks):
                digest.update(piece)
                size += len(piece)
                await self._put(self._chunks, {"_id": chunk_id(blob_id, number), "d": Binary(piece)})
                number += 1
            ref = BlobRef(blob_id, size, digest.hexdigest())
            await self._put(self._blobs, {"_id": blob_id, "staged": time.time(), "size": size, "sha256": ref.sha256})
        except BaseException:
            with suppress(StoreError):  # what is not removed now is swept
                await self.remove([blob_id])
            raise
        return ref

    @reading
    async def _put(self, collection: AsyncCollection[Document], document: Document) -> None:
        """Write a document of a blob that nobody has attached; twice is once."""
        with faults():
            # One that is executed late, when the blob is attached, finds its place taken.
            match = {"_id": document["_id"], "attached": {"$exists": False}}
            await collection.replace_one(match, document, upsert=True)

    async def open(self, blob_id: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Read a range [start, end) in chunks. Raises KeyError for an unknown id."""
        ref = await self.stat(blob_id)
        if ref is None:
            raise KeyError(blob_id)
        return self._read(blob_id, start, ref.size if end is None else min(end, ref.size))

    async def _read(self, blob_id: str, start: int, end: int) -> AsyncIterator[bytes]:
        while start < end:
            number, offset = divmod(start, CHUNK)
            found = await self._chunk(blob_id, number)
            if found is None or len(found["d"]) <= offset:
                raise StorageFault(f"blob {blob_id} lacks piece {number}")
            piece = bytes(found["d"])[offset : offset + end - start]
            start += len(piece)
            yield piece

    @reading
    async def _chunk(self, blob_id: str, number: int) -> Document | None:
        with faults():
            return await self._chunks.find_one({"_id": chunk_id(blob_id, number)})

    @reading
    async def stat(self, blob_id: str) -> BlobRef | None:
        """Return size and digest of an attached blob."""
        with faults():
            found = await self._blobs.find_one({"_id": blob_id, "attached": True})
        return BlobRef(blob_id, found["size"], found["sha256"]) if found else None

    @reading
    async def of_patient(self, patient: str) -> list[str]:
        """Return the ids of the attached blobs of a patient."""
        with faults():
            found = self._blobs.find({"patient": patient, "attached": True}, {"_id": 1})
            return sorted([str(each["_id"]) async for each in found])

    async def check(self, changes: Sequence[BlobChange], session: AsyncClientSession | None) -> None:
        """Refuse to attach what was not staged whole."""
        for change in changes:
            if change.attach:
                found = await self._blobs.find_one({"_id": change.id}, session=session)
                if found is None or "size" not in found:
                    raise StorageFault(f"there is no staged blob {change.id}")

    async def apply(self, changes: Iterable[Document], session: AsyncClientSession | None) -> None:
        """Attach and release; what is released is `dropped` and goes after the commit. Doing it twice is once."""
        for change in changes:
            if change["attach"]:
                told = {"patient": change["patient"]} if change["patient"] else {}
                update: Document = {"$set": {"attached": True, **told}, "$unset": {"staged": ""}}
            else:
                update = {"$set": {"dropped": True}, "$unset": {"attached": "", "patient": ""}}
            await self._blobs.update_one({"_id": change["id"]}, update, session=session)

    @once
    async def discard(self, blob_id: str) -> None:
        """Remove a staged blob that nobody will attach; an attached one stays."""
        with faults():
            found = await self._blobs.find_one_and_delete({"_id": blob_id, "attached": {"$exists": False}})
        if found is not None:
            await self.remove([blob_id])

    @once
    async def remove(self, ids: Iterable[str]) -> None:
        """Remove blobs with their bytes."""
        with faults():
            for blob_id in ids:
                span = {"$gte": f"{blob_id}:", "$lt": f"{blob_id};"}
                await self._chunks.delete_many({"_id": span})
                await self._blobs.delete_one({"_id": blob_id})

    async def sweep(self) -> int:
        """Remove what was staged long ago or released before a crash; return how many went."""
        limit = time.time() - STAGED_LIFE
        match: Document = {"$or": [{"staged": {"$lt": limit}}, {"dropped": True}]}
        with faults():
            ids = [str(each["_id"]) async for each in self._blobs.find(match, {"_id": 1})]
        await self.remove(ids)
        return len(ids)


def chunk_id(blob_id: str, number: int) -> str:
    """Return the id of a piece."""
    return f"{blob_id}:{number:08d}"


async def _pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        while len(held) >= CHUNK:
            yield bytes(held[:CHUNK])
            del held[:CHUNK]
    if held:
        yield bytes(held)
