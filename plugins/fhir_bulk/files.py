"""Files of an export: written as large objects while they are read, ended when they are large enough."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from fhir_bulk.reading import Block
from fhir_server.plugin_api import BlobRef, PluginStore


class Writer(Protocol):
    """Writes one file: each call returns the bytes that are ready. What is heavy is done on a thread."""

    @property
    def heavy(self) -> bool:
        """Whether a call takes so long that it belongs on a thread."""

    def add(self, lines: bytes) -> bytes:
        """Take in NDJSON lines."""

    def close(self) -> bytes:
        """End the file."""


class Ndjson:
    """Lines as they are."""

    heavy = False

    def add(self, lines: bytes) -> bytes:
        """Return them."""
        return lines

    def close(self) -> bytes:
        """There is nothing at the end."""
        return b""


@dataclass(slots=True)
class Written:
    """What went into a file, and where to go on behind it."""

    count: int = 0
    after: int | None = None
    last: bool = False


class Files:
    """Makes files of blocks.

    Args:
        writer: makes the writer of a file of a type.
        most: resources, and bytes, at which a file ends.
    """

    def __init__(self, store: PluginStore, writer: Callable[[str], Writer], most: tuple[int, int]) -> None:
        self._store, self._writer = store, writer
        self._resources, self._bytes = most

    async def of(self, type_: str, blocks: AsyncIterator[Block]) -> AsyncIterator[tuple[BlobRef, Written]]:
        """Yield each file when it is whole; it stays if it is attached."""
        first = await anext(blocks, None)
        while first is not None:
            written = Written()
            pending: list[Block] = []
            ref = await self._store.stage(self._chunks(type_, first, blocks, (written, pending)))
            first = pending[0] if pending else None
            yield ref, written

    async def _chunks(
        self, type_: str, first: Block, blocks: AsyncIterator[Block], out: tuple[Written, list[Block]]
    ) -> AsyncIterator[bytes]:
        written, pending = out
        writer, size = self._writer(type_), 0
        block: Block | None = first
        while block is not None:
            if written.count and (written.count + block.count > self._resources or size >= self._bytes):
                pending.append(block)
                break
            ready = await asyncio.to_thread(writer.add, block.lines) if writer.heavy else writer.add(block.lines)
            if ready:
                yield ready
            size += len(ready)
            written.count += block.count
            written.after = block.after
            block = await anext(blocks, None)
        if rest := writer.close():
            yield rest
