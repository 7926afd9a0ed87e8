"""A-ASSOCIATE: what is proposed, what is accepted, and its bytes.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part08/sect_9.3.html
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from dicomweb.dimse.wire.faults import ProtocolFault

APPLICATION: Final = "1.2.840.10008.3.1.1.1"
IMPLEMENTATION: Final = "2.25.190374208319834911872907451309571113"
"""Our implementation class UID: derived from a UUID, PS3.5 section B.2."""
VERSION: Final = "FHIRSERVER_1"

_FIXED: Final = 68
_MOST_CONTEXTS: Final = 128
_UNEXPECTED_PARAMETER: Final = 5
_INVALID_PARAMETER: Final = 6

ACCEPTED, NO_REASON, NO_ABSTRACT, NO_TRANSFER = 0, 2, 3, 4
"""Results of a presentation context: PS3.8 table 9-18."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """A presentation context as proposed."""

    id: int
    abstract: str
    transfers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context as it was agreed on; `result` 0: accepted."""

    id: int
    abstract: str
    transfer: str
    result: int = ACCEPTED


@dataclass(frozen=True, slots=True)
class Role:
    """Which roles the requestor of an association may play for a SOP class; by default it is the user alone."""

    abstract: str
    user: bool = True
    provider: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the user is, as the requestor says: kind 1 name, 2 name and passcode, 3 Kerberos, 4 SAML, 5 JWT."""

    kind: int
    primary: bytes
    secondary: bytes = b""


@dataclass(frozen=True, slots=True)
class Request:
    """An association as requested."""

    calling: str
    called: str
    contexts: tuple[Proposed, ...]
    max_pdu: int = 0
    roles: tuple[Role, ...] = ()
    identity: Identity | None = None
    application: str = APPLICATION
    protocol: int = 1


@dataclass(frozen=True, slots=True)
class Accept:
    """An association as accepted."""

    contexts: tuple[Context, ...]
    max_pdu: int = 0
    roles: tuple[Role, ...] = ()


def decode_request(body: bytes) -> Request:
    """Read the body of an A-ASSOCIATE-RQ. Raises ProtocolFault."""
    protocol, called, calling = _head(body)
    application, contexts, user = "", [], b""
    for kind, value in _items(body[_FIXED:]):
        if kind == 0x10:
            application = _uid(value)
        elif kind == 0x20:
            contexts.append(_proposed(value))
        elif kind == 0x50:
            user = value
    if len(contexts) > _MOST_CONTEXTS:
        raise ProtocolFault(f"more than {_MOST_CONTEXTS} presentation contexts", _INVALID_PARAMETER)
    max_pdu, roles, identity = _user(user)
    return Request(calling, called, tuple(contexts), max_pdu, roles, identity, application, protocol)


def decode_accept(body: bytes, asked: Request) -> Accept:
    """Read the body of an A-ASSOCIATE-AC, the answer to a request. Raises ProtocolFault."""
    _head(body)
    abstract = {each.id: each.abstract for each in asked.contexts}
    contexts, user = [], b""
    for kind, value in _items(body[_FIXED:]):
        if kind == 0x21 and len(value) >= 4 and value[0] in abstract:
            transfers = [_uid(inner) for _, inner in _items(value[4:])]
            contexts.append(Context(value[0], abstract[value[0]], transfers[0] if transfers else "", value[2]))
        elif kind == 0x50:
            user = value
    max_pdu, roles, _ = _user(user)
    return Accept(tuple(contexts), max_pdu, roles)


def encode_request(request: Request) -> bytes:
    """Return the body of an A-ASSOCIATE-RQ."""
    items = [_item(0x10, request.application.encode())]
    for each in request.contexts:
        inner = _item(0x30, each.abstract.encode()) + b"".join(_item(0x40, one.encode()) for one in each.transfers)
        items.append(_item(0x20, bytes((each.id, 0, 0, 0)) + inner))
    items.append(_item(0x50, _told(request.max_pdu, request.roles)))
    return _titles(request.called, request.calling) + b"".join(items)


def encode_accept(request: Request, accept: Accept) -> bytes:
    """Return the body of an A-ASSOCIATE-AC."""
    items = [_item(0x10, APPLICATION.encode())]
    for each in accept.contexts:
        inner = _item(0x40, each.transfer.encode())
        items.append(_item(0x21, bytes((each.id, 0, each.result, 0)) + inner))
    items.append(_item(0x50, _told(accept.max_pdu, accept.roles)))
    return _titles(request.called, request.calling) + b"".join(items)


def _head(body: bytes) -> tuple[int, str, str]:
    if len(body) < _FIXED:
        raise ProtocolFault("an A-ASSOCIATE PDU ends before its items", _INVALID_PARAMETER)
    (protocol,) = struct.unpack_from(">H", body)
    return protocol, _title(body[4:20]), _title(body[20:36])


def _titles(called: str, calling: str) -> bytes:
    return struct.pack(">HH", 1, 0) + called.encode().ljust(16)[:16] + calling.encode().ljust(16)[:16] + bytes(32)


def _title(raw: bytes) -> str:
    text = raw.decode("ascii", "replace").strip(" \0")
    return "".join(each if each.isprintable() else "?" for each in text)


def _uid(raw: bytes) -> str:
    return raw.decode("ascii", "replace").strip(" \0")


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place < len(data):
        if place + 4 > len(data):
            raise ProtocolFault("an item ends within its head", _INVALID_PARAMETER)
        kind, length = data[place], int.from_bytes(data[place + 2 : place + 4], "big")
        if place + 4 + length > len(data):
            raise ProtocolFault(f"item {kind:#x} says it is longer than what holds it", _INVALID_PARAMETER)
        yield kind, data[place + 4 : place + 4 + length]
        place += 4 + length


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def _proposed(value: bytes) -> Proposed:
    if len(value) < 4:
        raise ProtocolFault("a presentation context ends before its syntaxes", _INVALID_PARAMETER)
    abstract, transfers = "", []
    for kind, inner in _items(value[4:]):
        if kind == 0x30:
            abstract = _uid(inner)
        elif kind == 0x40:
            transfers.append(_uid(inner))
    return Proposed(value[0], abstract, tuple(transfers))


def _user(data: bytes) -> tuple[int, tuple[Role, ...], Identity | None]:
    max_pdu, roles, identity = 0, [], None
    for kind, value in _items(data):
        if kind == 0x51 and len(value) == 4:
            (max_pdu,) = struct.unpack(">L", value)
        elif kind == 0x54:
            roles.append(_role(value))
        elif kind == 0x58:
            identity = _identity(value)
    return max_pdu, tuple(roles), identity


def _role(value: bytes) -> Role:
    length = int.from_bytes(value[:2], "big")
    if len(value) != 2 + length + 2:
        raise ProtocolFault("a role selection has no roles", _INVALID_PARAMETER)
    return Role(_uid(value[2 : 2 + length]), value[-2] == 1, value[-1] == 1)


def _identity(value: bytes) -> Identity:
    first = int.from_bytes(value[2:4], "big")
    second = int.from_bytes(value[4 + first : 6 + first], "big")
    if len(value) != 6 + first + second:
        raise ProtocolFault("a user identity is not as long as it says", _INVALID_PARAMETER)
    return Identity(value[0], value[4 : 4 + first], value[6 + first :])


def _told(max_pdu: int, roles: Sequence[Role]) -> bytes:
    told = _item(0x51, struct.pack(">L", max_pdu)) + _item(0x52, IMPLEMENTATION.encode())
    for role in roles:
        uid = role.abstract.encode()
        told += _item(0x54, struct.pack(">H", len(uid)) + uid + bytes((role.user, role.provider)))
    return told + _item(0x55, VERSION.encode())
