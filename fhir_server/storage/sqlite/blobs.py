"""Large objects: staged by streaming, read by ranges."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from io import FileIO
from typing import Any, Final

import apsw

from fhir_server.encryption.chunks import SealedWriter
from fhir_server.storage.base import BlobRef, StorageFault
from fhir_server.storage.sqlite.blob_files import BlobFiles, BlobReader
from fhir_server.storage.sqlite.connection import faults, fetch

CHUNK: Final = 1_048_576


class SqliteBlobs:
    """Blobs of one store; `run` executes a function on a read connection. Disk work is done on threads."""

    def __init__(self, files: BlobFiles, run: Callable[..., Awaitable[Any]]) -> None:
        self._files, self._run = files, run

    async def stage(self, chunks: AsyncIterator[bytes], blob_id: str = "") -> BlobRef:
        """Write the bytes durably under a new random id, or the one given; while one chunk is written, the next may
        come."""
        blob_id = blob_id or secrets.token_hex(16)
        writing = _Writing(self._files, blob_id)
        working: asyncio.Future[None] | None = None
        try:
            async for chunk in chunks:
                if working is not None:
                    await working
                working = asyncio.ensure_future(_on_disk(self._files, writing.write, chunk))
            await (working or _on_disk(self._files, writing.write, b""))
            if not writing.secure:
                await _on_disk(self._files, writing.make_secure)
            return writing.finish()
        except BaseException:
            if working is not None:
                await asyncio.gather(working, return_exceptions=True)
            writing.close()
            self._files.settle((), (blob_id,))
            raise

    async def open(self, blob_id: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Read a range [start, end) in chunks. Raises KeyError for an unknown id."""
        ref = await self.stat(blob_id)
        if ref is None:
            raise KeyError(blob_id)
        return _read(self._files, blob_id, start, ref.size if end is None else min(end, ref.size))

    async def stat(self, blob_id: str) -> BlobRef | None:
        """Return size and digest of an attached blob."""
        rows: list[tuple[int, str]] = await self._run(lambda connection: _row(connection, blob_id))
        return BlobRef(blob_id, *rows[0]) if rows else None

    async def discard(self, blob_id: str) -> None:
        """Remove a staged blob."""
        if not await self._run(lambda connection: _row(connection, blob_id)):
            await _on_disk(self._files, self._files.settle, (), (blob_id,))

    async def of_patient(self, patient: str) -> list[str]:
        """Return the ids of the attached blobs of a patient."""
        sql = "SELECT id FROM blob WHERE patient=? ORDER BY id"
        rows: list[tuple[str]] = await self._run(lambda connection: fetch(connection, sql, (patient,)))
        return [row[0] for row in rows]


async def _on_disk(files: BlobFiles, work: Callable[..., Any], *arguments: Any) -> Any:
    """Run disk work on a thread; its errors, unlike those of whoever sends the bytes, are the store's.

    Who is cancelled meanwhile waits for its end, lest it go on while they clean up behind it; what it opened is closed.
    """
    working: asyncio.Future[Any] = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    with faults(files.tenant):
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            await asyncio.wait([working])
            if working.exception() is None and hasattr(working.result(), "close"):
                working.result().close()
            raise


def _row(connection: apsw.Connection, blob_id: str) -> list[tuple[int, str]]:
    return fetch(connection, "SELECT size, sha256 FROM blob WHERE id=?", (blob_id,))


class _Writing:
    """A blob that is being written. Its first chunk is made secure at once, for it is often the only one, and each
    change of threads costs as much as the writing of a small object."""

    def __init__(self, files: BlobFiles, blob_id: str) -> None:
        self._files, self._id = files, blob_id
        self._file: FileIO | SealedWriter | None = None
        self._digest, self._size = sha256(), 0
        self.secure = False

    def write(self, chunk: bytes) -> None:
        """Write the next chunk."""
        first = self._file is None
        file = self._file or self._files.begin(self._id)
        self._file, self.secure = file, False
        self._digest.update(chunk)
        self._size += len(chunk)
        view = memoryview(chunk)
        while view:
            view = view[file.write(view) :]
        if first and isinstance(file, FileIO):
            self.make_secure()

    def make_secure(self) -> None:
        """Make what was written durable."""
        assert self._file is not None
        self._files.secure(self._file, self._id)
        self.secure = True

    def finish(self) -> BlobRef:
        """Return the blob, which is secure."""
        assert self._file is not None
        ref = BlobRef(self._id, self._size, self._digest.hexdigest())
        with faults(self._files.tenant):
            self._files.finish(self._file, ref)
        return ref

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


@dataclass(frozen=True, slots=True)
class _Begun:
    """A file with the first of what is read of it; one step on a thread instead of three."""

    file: BlobReader
    chunk: bytes

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def _begin_to_read(files: BlobFiles, blob_id: str, size: int, start: int) -> _Begun:
    file = files.open(blob_id)
    try:
        return _Begun(file, file.pread(size, start))
    except BaseException:
        file.close()
        raise


async def _read(files: BlobFiles, blob_id: str, start: int, end: int) -> AsyncIterator[bytes]:
    if start >= end:
        return
    with closing(await _on_disk(files, _begin_to_read, files, blob_id, min(CHUNK, end - start), start)) as begun:
        chunk: bytes = begun.chunk
        while True:
            if not chunk:
                raise StorageFault(f"the file of blob {blob_id} is shorter than it was written")
            start += len(chunk)
            yield chunk
            if start >= end:
                return
            chunk = await _on_disk(files, begun.file.pread, min(CHUNK, end - start), start)
