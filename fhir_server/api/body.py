"""Reading a request body: in time, within limits, decompressed, and as UTF-8 JSON whatever format it came in."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from fhir_server.errors import BadRequest, RequestTimeout, TooLarge, UnsupportedMediaType
from fhir_server.settings import Settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

_STEP = 65_536
_MAX_MEMBERS = 1_000
_INLINE = 4096
_CODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class ClientGone(Exception):
    """The client hung up before its request was complete; there is nobody to answer."""


async def read(receive: Receive, headers: dict[str, str], settings: Settings) -> bytes:
    """Return the whole body, decompressed.

    Raises:
        TooLarge: more than `max_body`, before or after decompression.
        RequestTimeout: not all there within `read_timeout`.
        UnsupportedMediaType: an unknown content coding.
        BadRequest: the compressed data is broken, or the length is no number.
        ClientGone: the client hung up.
    """
    codings = _codings(headers.get("content-encoding", ""))
    _check_length(headers.get("content-length", "0"), settings.max_body)
    try:
        async with asyncio.timeout(settings.read_timeout):
            body = await _collect(receive, settings.max_body)
    except TimeoutError:
        raise late(settings) from None
    for coding in reversed(codings):
        body = await _inflate(body, coding, settings.max_body)
    return body


def _check_length(text: str, limit: int) -> None:
    if not text.isascii() or not text.isdigit():
        raise BadRequest("Content-Length is not a number", expression="http.Content-Length")
    if len(text) > 15 or int(text) > limit:
        raise _too_large(limit)


def _codings(header: str) -> list[str]:
    """Return the codings to undo. Spec: RFC 9110 8.4"""
    if not header:
        return []
    names = [name for part in header.split(",") if (name := part.strip().lower()) not in ("", "identity")]
    if len(names) > 2 or any(name not in _CODINGS for name in names):
        error = UnsupportedMediaType(
            f"bodies may be compressed with gzip or deflate, not {header[:80]!r}", expression="http.Content-Encoding"
        )
        error.headers["Accept-Encoding"] = "gzip, deflate"
        raise error
    return names


async def _collect(receive: Receive, limit: int) -> bytes:
    chunks: list[bytes] = []
    total, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        chunks.append(chunk)
        total += len(chunk)
        if total > limit:
            raise _too_large(limit)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(limit: int) -> Exception:
    return _closing(TooLarge(f"the request body is larger than {limit} bytes"))


def late(settings: Settings) -> Exception:
    """Return what is told to who does not send the rest of a body."""
    return _closing(RequestTimeout(f"the request body was not complete after {settings.read_timeout} seconds"))


def _closing(error: BadRequest | TooLarge | RequestTimeout) -> Exception:
    """The rest of the body is not wanted, so the connection cannot serve another request."""
    error.headers["Connection"] = "close"
    return error


async def _inflate(body: bytes, coding: str, limit: int) -> bytes:
    """Decompress; what is not tiny does so in a thread, as a bomb takes its time up to the limit."""
    if not body:
        return body
    if len(body) <= _INLINE:
        return inflate(body, coding, limit)
    return await asyncio.to_thread(inflate, body, coding, limit)


def inflate(body: bytes, coding: str, limit: int) -> bytes:
    """Decompress gzip (several members too) or deflate, with or without its zlib wrapper.

    Raises:
        TooLarge: what comes out is larger than `limit`.
        BadRequest: broken or cut off.
    """
    window = -15 if coding == "deflate" and not _is_zlib(body) else _CODINGS[coding]
    chunks: list[bytes] = []
    total = 0
    try:
        for chunk in _inflated(body, window):
            chunks.append(chunk)
            total += len(chunk)
            if total > limit:
                raise _too_large(limit)
    except zlib.error:
        raise BadRequest(f"the body is not whole {coding} data", expression="http.Content-Encoding") from None
    return b"".join(chunks)


def _inflated(body: bytes, window: int) -> Iterator[bytes]:
    """Decompress in steps that are small going in and coming out, so that the work stays in proportion to both."""
    member = zlib.decompressobj(window)
    members = 1
    for at in range(0, len(body), _STEP):
        rest = body[at : at + _STEP]
        while rest:
            if member.eof:
                member = zlib.decompressobj(window)
                members += 1
            if members > _MAX_MEMBERS:
                raise zlib.error("too many members")
            yield member.decompress(rest, _STEP)
            rest = member.unused_data if member.eof else member.unconsumed_tail
    while not member.eof:
        chunk = member.decompress(b"", _STEP)
        if not chunk:
            raise zlib.error("cut off")
        yield chunk


def _is_zlib(body: bytes) -> bool:
    """Spec: RFC 1950 2.2"""
    return len(body) > 1 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
