"""What server and worker say to each other: a length of eight bytes, then MessagePack, for which no bytes are code."""

import socket
from typing import Any

import msgspec

from dicomweb.pixels.faults import PixelFailure

MOST = (1 << 32) - 1024
"""Bytes of one message; MessagePack has no longer strings of bytes."""
NO_MEMORY = 77
"""Exit status of a worker that has no memory for a message."""
_STEP = 1 << 20


def send(line: socket.socket, message: Any) -> None:
    """Send one message. Raises PixelFailure: it is too large. OSError: nobody is there."""
    body = msgspec.msgpack.encode(message)
    if len(body) > MOST:
        raise PixelFailure("unsupported", "the pixels are more than four gigabytes")
    line.sendall(len(body).to_bytes(8, "big"))
    line.sendall(body)


def receive(line: socket.socket) -> Any:
    """Return the next message. Raises EOFError: the other side has gone. TimeoutError."""
    size = int.from_bytes(_exactly(line, 8), "big")
    return msgspec.msgpack.decode(_exactly(line, size))


def _exactly(line: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view, at = memoryview(data), 0
    while at < size:
        count = line.recv_into(view[at : at + _STEP])
        if count == 0:
            raise EOFError
        at += count
    return data
