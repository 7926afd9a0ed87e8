"""Lines of an NDJSON file and where each begins, from any byte on; a line that is too long is told, not held."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Line:
    """One line. number: counted from 1. end: the byte behind it. data: None where it is too long."""

    number: int
    end: int
    data: bytes | None


async def lines_of(chunks: AsyncIterator[bytes], start: tuple[int, int], longest: int) -> AsyncIterator[Line]:
    """Yield the lines of what comes from byte and line `start` (both counted from 0) on; empty ones too."""
    at, number = start
    held, skipped = b"", 0
    async for chunk in chunks:
        *whole, rest = (held + chunk).split(b"\n")
        for data in whole:
            number += 1
            at += skipped + len(data) + 1
            yield Line(number, at, None if skipped or len(data) > longest else data)
            skipped = 0
        if len(rest) > longest or skipped:
            skipped, rest = skipped + len(rest), b""
        held = rest
    if held or skipped:
        yield Line(number + 1, at + skipped + len(held), None if skipped else held)


@asynccontextmanager
async def closing(items: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Give an iterator and close it after, whether or not it came to its end: it may hold a file."""
    try:
        yield items
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()
