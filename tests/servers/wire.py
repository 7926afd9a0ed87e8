"""Messages of MongoDB's wire protocol, for servers that tests play.

Spec: https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
"""

import asyncio
import struct
from dataclasses import dataclass
from typing import Any, Final

import bson

Document = dict[str, Any]

MESSAGE: Final = 2013
QUERY: Final = 2004
REPLY: Final = 1
_HEADER: Final = struct.Struct("<iiii")
_MORE_TO_COME: Final = 2
_LISTS: Final = ("documents", "updates", "deletes")


@dataclass(frozen=True, slots=True)
class Message:
    """One message: `body` is its command, with the documents of its other sections as lists in it."""

    number: int
    opcode: int
    body: Document
    answered: bool = True


async def read(reader: asyncio.StreamReader) -> Message:
    """Read a message. Raises IncompleteReadError at the end."""
    size, number, _, opcode = _HEADER.unpack(await reader.readexactly(_HEADER.size))
    data = await reader.readexactly(size - _HEADER.size)
    if opcode == QUERY:
        return Message(number, opcode, bson.decode(data[data.index(b"\0", 4) + 9 :]))
    if opcode != MESSAGE:
        raise ValueError(f"opcode {opcode}")
    flags = struct.unpack_from("<I", data)[0]
    return Message(number, opcode, _sections(data[: -4 if flags & 1 else len(data)]), not flags & _MORE_TO_COME)


def _sections(data: bytes) -> Document:
    body: Document = {}
    lists: dict[str, list[Document]] = {}
    at = 4
    while at < len(data):
        kind, (size,) = data[at], struct.unpack_from("<i", data, at + 1)
        section = data[at + 1 : at + 1 + size]
        if kind == 0:
            body = bson.decode(section)
        else:
            end = section.index(b"\0", 4)
            lists[section[4:end].decode()] = bson.decode_all(section[end + 1 :])
        at += 1 + size
    return body | lists


def message(body: Document, number: int, answers: int = 0) -> bytes:
    """Return a command or its answer as a message."""
    lists = {name: body[name] for name in _LISTS if isinstance(body.get(name), list)}
    rest = {name: value for name, value in body.items() if name not in lists}
    data = struct.pack("<I", 0) + b"\0" + bson.encode(rest)
    for name, documents in lists.items():
        section = name.encode() + b"\0" + b"".join(map(bson.encode, documents))
        data += b"\1" + struct.pack("<i", 4 + len(section)) + section
    return _HEADER.pack(_HEADER.size + len(data), number, answers, MESSAGE) + data


def answer(to: Message, body: Document, number: int) -> bytes:
    """Return the answer to a message, in the form in which it was asked."""
    if to.opcode == MESSAGE:
        return message(body, number, to.number)
    data = struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(body)
    return _HEADER.pack(_HEADER.size + len(data), number, to.number, REPLY) + data
