"""Sending an answer: at once when it is small, in slabs that a slow reader must take in time when it is large."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping, Sequence
from typing import Any

from fhir_server.api.body import ClientGone
from fhir_server.api.encode import GZIP_LEVEL, GZIP_WINDOW, SLAB, Answer

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_PIECE = 262_144


def sent_at_once(answer: Answer, method: str, send: Send) -> bool:
    """Send a small answer in one write, where the server can (serving/http.py); tell whether that was done.

    A refusal may close the connection, which only ASGI's own way knows how to do.
    """
    if answer.status >= 400 or answer.length > SLAB or answer.stream is not None:
        return False
    send_whole = getattr(getattr(send, "__self__", None), "send_whole", None)
    return send_whole is not None and send_whole(answer.status, answer.headers, _whole(answer, method))


def sent_ready(send: Send, ready: Callable[[], bytes | None]) -> bool:
    """Send an answer that is one piece of bytes, where there is such a piece and the server can; tell whether that was
    done."""
    send_bytes = getattr(getattr(send, "__self__", None), "send_bytes", None)
    if send_bytes is None:
        return False
    data = ready()
    return data is not None and send_bytes(data)


async def send_answer(answer: Answer, method: str, send: Send, patience: float) -> None:
    """Send status, headers and body; a reader that takes nothing for `patience` seconds is cut off.

    Raises:
        ClientGone: the reader was cut off.
    """
    if (answer.length > SLAB or answer.stream is not None) and method != "HEAD":
        await _send_slabs(answer, send, patience)
        return
    last = {"type": "http.response.body", "body": _whole(answer, method)}
    if _nothing_waits(send):
        await send(_start(answer))
        await send(last)
    else:
        await _guarded(send, _start(answer), patience)
        await _guarded(send, last, patience)


def _whole(answer: Answer, method: str) -> bytes:
    if method == "HEAD":
        return b""
    return answer.chunks[0] if len(answer.chunks) == 1 else b"".join(answer.chunks)


async def _send_slabs(answer: Answer, send: Send, patience: float) -> None:
    await _guarded(send, _start(answer), patience)
    async for slab in answer.stream or (_compressed if answer.gzip else _uncompressed)(answer.chunks):
        await _guarded(send, {"type": "http.response.body", "body": slab, "more_body": True}, patience)
    await _guarded(send, {"type": "http.response.body", "body": b""}, patience)


def _start(answer: Answer) -> MutableMapping[str, Any]:
    return {"type": "http.response.start", "status": answer.status, "headers": answer.headers}


async def _guarded(send: Send, message: MutableMapping[str, Any], patience: float) -> None:
    """Send one message; what waits for the reader longer than `patience` takes the connection down.

    It is aborted, for closing it would wait for the reader to take what is buffered.

    Raises:
        ClientGone: the reader took nothing for so long.
    """
    try:
        async with asyncio.timeout(patience):
            await send(message)
    except TimeoutError:
        transport = _transport(send)
        if transport is not None:
            transport.abort()
        raise ClientGone from None


def _nothing_waits(send: Send) -> bool:
    """Tell whether the reader has taken all that was sent before; then a small answer cannot have to wait."""
    transport = _transport(send)
    return transport is not None and transport.get_write_buffer_size() == 0


def _transport(send: Send) -> asyncio.WriteTransport | None:
    """uvicorn's `send` belongs to an object that knows the transport; other servers keep theirs to themselves."""
    return getattr(getattr(send, "__self__", None), "transport", None)


async def _uncompressed(chunks: Sequence[bytes]) -> AsyncIterator[bytes]:
    for slab in slabs(chunks, SLAB):
        yield slab


async def _compressed(chunks: Sequence[bytes]) -> AsyncIterator[bytes]:
    """Compress in a thread, piece by piece, so that others are served meanwhile."""
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WINDOW)
    for piece in slabs(chunks, _PIECE):
        packed = await asyncio.to_thread(packer.compress, piece)
        if packed:
            yield packed
    yield packer.flush()


def slabs(chunks: Sequence[bytes], size: int) -> Iterator[bytes]:
    """Cut and join chunks into slabs of about `size` bytes, so that neither tiny nor huge ones are sent."""
    held: list[bytes] = []
    total = 0
    for chunk in chunks:
        if total and total + len(chunk) > size:
            yield b"".join(held)
            held, total = [], 0
        if len(chunk) > size:
            yield from (chunk[at : at + size] for at in range(0, len(chunk), size))
        else:
            held.append(chunk)
            total += len(chunk)
    if held:
        yield b"".join(held)
