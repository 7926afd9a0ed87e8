"""multipart/related as it comes: parts one after the other, their bodies as streams, in constant memory.

https://www.rfc-editor.org/rfc/rfc2046#section-5.1
"""

from collections.abc import AsyncIterator
from typing import Final

from fhir_server.plugin_api import BadRequest

_MOST_HEADERS: Final = 16_384


class Parts:
    """The parts of a body. Each has to be read, or is skipped, before the next one comes."""

    def __init__(self, body: AsyncIterator[bytes], boundary: str) -> None:
        if not boundary or len(boundary) > 200:
            raise BadRequest("the Content-Type names no boundary", expression="http.content-type")
        self._body = body
        self._mark = b"\r\n--" + boundary.encode("latin-1", "replace")
        self._buffer = bytearray(b"\r\n")
        self._inside = False

    async def __aiter__(self) -> AsyncIterator[tuple[dict[str, str], AsyncIterator[bytes]]]:
        """Yield headers and body of each part. Raises BadRequest: the body ends too early, or is no multipart."""
        async for _ in self._to_mark("before its first part"):
            pass
        while not await self._is_end():
            headers = await self._headers()
            self._inside = True
            yield headers, self._part()
            async for _ in self._part():
                pass

    async def _part(self) -> AsyncIterator[bytes]:
        if not self._inside:
            return
        async for chunk in self._to_mark("within a part"):
            yield chunk
        self._inside = False

    async def _to_mark(self, where: str) -> AsyncIterator[bytes]:
        """Yield what stands before the next boundary, and go behind it."""
        mark = self._mark
        while True:
            place = self._buffer.find(mark)
            if place >= 0:
                if place:
                    yield bytes(self._buffer[:place])
                del self._buffer[: place + len(mark)]
                return
            safe = len(self._buffer) - len(mark) + 1
            if safe > 0:
                yield bytes(self._buffer[:safe])
                del self._buffer[:safe]
            await self._more(where)

    async def _is_end(self) -> bool:
        while len(self._buffer) < 2:
            await self._more("at a boundary")
        return self._buffer[:2] == b"--"

    async def _headers(self) -> dict[str, str]:
        """Return the headers of a part, names in lower case."""
        while True:
            line = self._buffer.find(b"\r\n")
            if line >= 0 and self._buffer[:line].strip(b" \t"):
                raise BadRequest("a boundary is followed by other text", expression="http.body")
            if line >= 0:
                place = self._buffer.find(b"\r\n\r\n", line)
                if place >= 0:
                    lines = bytes(self._buffer[line:place]).decode("latin-1").split("\r\n")
                    del self._buffer[: place + 4]
                    break
            if len(self._buffer) > _MOST_HEADERS:
                raise BadRequest("the headers of a part have no end", expression="http.body")
            await self._more("within the headers of a part")
        pairs = (each.partition(":") for each in lines if ":" in each)
        # the empty line that ends the headers begins the first boundary of a part without a body
        self._buffer[:0] = b"\r\n" if self._buffer.startswith(self._mark[2:]) else b""
        return {name.strip().lower(): value.strip() for name, _, value in pairs}

    async def _more(self, where: str) -> None:
        try:
            self._buffer += await anext(self._body)
        except StopAsyncIteration:
            raise BadRequest(f"the multipart body ends {where}", expression="http.body") from None
