"""The acceptor's side of A-ASSOCIATE, and how associations are opened to others.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part08/sect_9.2.html
"""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dicomweb.dimse.wire.association import Association, Patience
from dicomweb.dimse.wire.faults import Aborted, ProtocolFault, Refused, said_of
from dicomweb.dimse.wire.link import Link, Pdu
from dicomweb.dimse.wire.negotiation import (
    APPLICATION,
    Accept,
    Proposed,
    Request,
    Role,
    decode_accept,
    decode_request,
    encode_accept,
    encode_request,
)

BUFFER: Final = 1 << 19
"""Bytes that a connection may hold before its sender has to wait."""
_UNEXPECTED_PDU: Final = 2


@dataclass(frozen=True, slots=True)
class Rejection:
    """A-ASSOCIATE-RJ: PS3.8 table 9-21."""

    result: int
    source: int
    reason: int

    def __str__(self) -> str:
        return said_of(self.source, self.reason)


DEFAULT: Final = Patience()
UNKNOWN_CALLING: Final = Rejection(1, 1, 3)
UNKNOWN_CALLED: Final = Rejection(1, 1, 7)
WRONG_APPLICATION: Final = Rejection(1, 1, 2)
WRONG_PROTOCOL: Final = Rejection(1, 2, 2)
CONGESTED: Final = Rejection(2, 3, 1)
LIMIT: Final = Rejection(2, 3, 2)


async def requested(link: Link, within: float) -> Request:
    """Return what a new connection asks for. Raises Ended, ProtocolFault."""
    kind, body = await link.read(within)
    if kind == Pdu.ABORT:
        raise Aborted("the association was aborted")
    if kind != Pdu.ASSOCIATE_RQ:
        raise ProtocolFault("a connection begins with A-ASSOCIATE-RQ", _UNEXPECTED_PDU)
    return decode_request(body)


async def reject(link: Link, why: Rejection, within: float) -> None:
    """Refuse an association. Raises Aborted."""
    await link.write(Pdu.ASSOCIATE_RJ, bytes((0, why.result, why.source, why.reason)), within)


async def accept(link: Link, request: Request, answer: Accept, patience: Patience) -> Association:
    """Accept an association. Raises Aborted."""
    await link.write(Pdu.ASSOCIATE_AC, encode_accept(request, answer), patience.stalled)
    return Association(link, answer.contexts, request.max_pdu, patience)


def misfit(request: Request) -> Rejection | None:
    """Return why nobody could accept a request; None: nothing is wrong with it."""
    if not request.protocol & 1:
        return WRONG_PROTOCOL
    return None if request.application == APPLICATION else WRONG_APPLICATION


@dataclass(frozen=True, slots=True)
class Call:
    """Whom to call, and how.

    tls: the context of TLS; None: without.
    """

    host: str
    port: int
    called: str
    calling: str
    tls: ssl.SSLContext | None = None
    max_pdu: int = 131_072
    connecting: float = 10
    patience: Patience = DEFAULT


async def connect(call: Call, proposed: Sequence[tuple[str, Sequence[str]]], roles: Sequence[Role] = ()) -> Association:
    """Open an association: `proposed` are SOP classes with the transfer syntaxes of each.

    Raises:
        Refused: the other side does not want it. Aborted: nobody is there, or it went wrong.
    """
    contexts = tuple(
        Proposed(2 * number + 1, abstract, tuple(transfers)) for number, (abstract, transfers) in enumerate(proposed)
    )
    request = Request(call.calling, call.called, contexts, call.max_pdu, tuple(roles))
    try:
        async with asyncio.timeout(call.connecting):
            reader, writer = await asyncio.open_connection(call.host, call.port, ssl=call.tls, limit=BUFFER)
    except (OSError, TimeoutError) as error:
        raise Aborted(f"{call.host}:{call.port} cannot be reached: {_why(error)}") from error
    link = Link(reader, writer, call.max_pdu)
    try:
        return await _agree(link, call, request)
    except BaseException:
        await link.close()
        raise


async def _agree(link: Link, call: Call, request: Request) -> Association:
    try:
        await link.write(Pdu.ASSOCIATE_RQ, encode_request(request), call.connecting)
        kind, body = await link.read(call.connecting)
        if kind == Pdu.ASSOCIATE_RJ and len(body) >= 4:
            raise Refused(body[1], body[2], body[3])
        if kind != Pdu.ASSOCIATE_AC:
            raise Aborted("the association was aborted before it began")
        accepted = decode_accept(body, request)
    except ProtocolFault as fault:
        raise Aborted(f"what {call.called} answered is no answer: {fault}") from fault
    return Association(link, accepted.contexts, accepted.max_pdu, call.patience)


def _why(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    return getattr(error, "strerror", None) or "no answer in time"
