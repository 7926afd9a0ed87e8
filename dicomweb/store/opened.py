"""Opened: the bytes of an instance."""

import zlib
from collections.abc import AsyncIterator, Sequence

from dicomweb.index.collections import FRAMES
from dicomweb.index.rows import spans_in
from dicomweb.ingest.meta import read_meta
from dicomweb.ingest.syntaxes import encoding_of
from dicomweb.model.values import Instance
from dicomweb.store.spans import defragmented, native_bits
from dicomweb.store.tiers import source_of
from fhir_server.plugin_api import NotFound, PluginContext


class StoredObject:
    """One instance, wherever its bytes are."""

    def __init__(self, ctx: PluginContext, instance: Instance) -> None:
        self._ctx, self._instance = ctx, instance
        self._spans: Sequence[int] | None = None
        self._inflated: bytes | None = None

    @property
    def instance(self) -> Instance:
        """Which."""
        return self._instance

    async def chunks(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes [start, end) of the Part 10 object."""
        async for chunk in await source_of(self._ctx, self._instance, start, end):
            yield chunk

    async def read(self, start: int, end: int | None = None) -> bytes:
        """Return a range at once."""
        return b"".join([chunk async for chunk in await source_of(self._ctx, self._instance, start, end)])

    async def header(self) -> bytes:
        """Return what comes before the value of the pixel data."""
        pixels = self._instance.pixels
        if self._deflated:
            meta, whole = await self._inflate()
            return meta + (whole[: pixels.start] if pixels else whole)
        return await self.read(0, pixels.start if pixels else None)

    async def data_set(self) -> bytes:
        """Return the data set as it is encoded."""
        begin = await self.read(0, 65_536)
        size = read_meta(begin).size
        return begin[size:] + (await self.read(65_536) if len(begin) == 65_536 else b"")

    async def frame(self, number: int) -> bytes:
        """Return a frame as it is encoded. Raises NotFound."""
        pixels = self._instance.pixels
        if pixels is None or not 1 <= number <= pixels.frames:
            raise NotFound(f"there is no frame {number}", expression="http.url")
        if pixels.length == -1:
            start, length = await self.span(number)
            return defragmented(await self.read(start, start + length))
        if not pixels.frame_size:
            return await self._odd_frame(number)
        begin = pixels.start + (number - 1) * pixels.frame_size
        if self._deflated:
            return (await self._inflate())[1][begin : begin + pixels.frame_size]
        return await self.read(begin, begin + pixels.frame_size)

    async def span(self, number: int) -> tuple[int, int]:
        """Return place and length of an encapsulated frame, heads of items included."""
        if self._spans is None:
            record = self._instance.record
            if record.get("span"):
                self._spans = record["span"]
            else:
                found = await self._ctx.store.get(FRAMES.name, self._instance.key)
                self._spans = spans_in(found) if found else ()
        if 2 * number > len(self._spans):
            raise NotFound(f"there is no frame {number}", expression="http.url")
        return self._spans[2 * number - 2], self._spans[2 * number - 1]

    @property
    def _deflated(self) -> bool:
        return encoding_of(self._instance.transfer_syntax).deflated

    async def _odd_frame(self, number: int) -> bytes:
        """Return a frame of single bits, which need not begin at a byte; of what says no size, all there is."""
        pixels, instance = self._instance.pixels, self._instance
        assert pixels is not None
        bits = instance.rows * instance.columns
        if pixels.frames == 1 or not bits:
            return await self.read(pixels.start, pixels.start + pixels.length)
        first, last = (number - 1) * bits // 8, -(-number * bits // 8)
        data = await self.read(pixels.start + first, pixels.start + min(last, pixels.length))
        return native_bits(data, (number - 1) * bits % 8, bits)

    async def _inflate(self) -> tuple[bytes, bytes]:
        """Return File Meta Information and the inflated data set. Its size was looked at when it came."""
        whole = await self.read(0)
        size = read_meta(whole).size
        if self._inflated is None:
            self._inflated = zlib.decompressobj(-15).decompress(whole[size:])
        return whole[:size], self._inflated
