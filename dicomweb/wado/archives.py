"""ZIP files as streams: objects are stored as they are, of any size."""

import io
import zipfile
from collections.abc import AsyncIterator, Iterable

Files = AsyncIterator[tuple[str, AsyncIterator[bytes]]]
_SINCE = (1980, 1, 1, 0, 0, 0)


class _Sink(io.RawIOBase):
    """Takes what a ZipFile writes; it cannot go back."""

    def __init__(self) -> None:
        self.written = bytearray()
        self._place = 0

    def writable(self) -> bool:
        """It can be written to."""
        return True

    def seekable(self) -> bool:
        """It can only go on."""
        return False

    def tell(self) -> int:
        """Return how much was written."""
        return self._place

    def write(self, data: object) -> int:
        """Take bytes."""
        size = len(data)  # type: ignore[arg-type]
        self.written += data  # type: ignore[arg-type]
        self._place += size
        return size

    def taken(self) -> bytes:
        """Return what was written since the last time."""
        found = bytes(self.written)
        self.written.clear()
        return found


async def zipped(files: Files) -> AsyncIterator[bytes]:
    """Yield a ZIP file with these files in it."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        async for name, chunks in files:
            entry = zipfile.ZipInfo(name, _SINCE)
            with archive.open(entry, "w", force_zip64=True) as out:
                async for chunk in chunks:
                    out.write(chunk)
                    yield sink.taken()
            yield sink.taken()
    yield sink.taken()


async def each_of(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Yield chunks that are there already."""
    for chunk in chunks:
        yield chunk
