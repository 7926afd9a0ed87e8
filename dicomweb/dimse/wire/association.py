"""Association: messages over a link, once it is agreed on what may be said.

One message is read at a time and its data set as it comes, so that one of any size takes constant memory.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part07/sect_6.3.html, annex E of part 8
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dicomweb.dimse.wire.command import NO_DATA, RESPONSE, Command, Field, Value, decode, encode
from dicomweb.dimse.wire.faults import Aborted, Ended, ProtocolFault, Released
from dicomweb.dimse.wire.link import Link, Pdu
from dicomweb.dimse.wire.negotiation import Context

_COMMAND, _LAST = 1, 2
_PDV: Final = 6
"""Bytes of a PDV before its fragment."""
_SMALLEST, _LARGEST_SENT = 1024, 131_072
_MOST_COMMAND: Final = 65_536
_UNEXPECTED_PDU: Final = 2

_REQUIRED: Final = ("CommandField", "CommandDataSetType")


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: `idle` between messages, `stalled` within one and for what is sent to be taken."""

    idle: float = 60
    stalled: float = 30


@dataclass(slots=True)
class Message:
    """A message: its command set; its data set is still to come."""

    context: Context
    command: Command
    association: "Association"

    @property
    def field(self) -> int:
        """What it is: see Field."""
        return self.number("CommandField")

    @property
    def id(self) -> int:
        """Its MessageID, or that of what it answers."""
        return self.number("MessageIDBeingRespondedTo" if self.field & RESPONSE else "MessageID")

    @property
    def has_data(self) -> bool:
        """Tell whether a data set belongs to it."""
        return self.number("CommandDataSetType") != NO_DATA

    def number(self, keyword: str) -> int:
        """Return a number of its command set, 0 where there is none."""
        value = self.command.get(keyword, 0)
        return value if isinstance(value, int) else 0

    def text(self, keyword: str) -> str:
        """Return a text of its command set, empty where there is none."""
        return str(self.command.get(keyword, ""))

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield its data set as it comes. Raises Ended, ProtocolFault."""
        if self.has_data:
            async for chunk in self.association.data_of(self):
                yield chunk

    async def data(self, most: int) -> bytes:
        """Return its data set. Raises ProtocolFault: it has more bytes than `most`."""
        parts, size = [], 0
        async for chunk in self.chunks():
            parts.append(chunk)
            size += len(chunk)
            if size > most:
                raise ProtocolFault(f"a data set of more than {most} bytes is too large for this message")
        return b"".join(parts)


class Association:
    """An association that was agreed on.

    Args:
        contexts: as agreed on, also those that were not accepted.
        max_send: the longest PDU that the other side takes; 0: it names no limit.
    """

    def __init__(self, link: Link, contexts: Sequence[Context], max_send: int, patience: Patience) -> None:
        self.contexts = {each.id: each for each in contexts if each.result == 0}
        self.patience = patience
        self._link = link
        self._fragment = max(min(max_send or _LARGEST_SENT, _LARGEST_SENT), _SMALLEST) - _PDV
        self._pdvs: list[tuple[int, int, bytes]] = []
        self._unread: Message | None = None
        self._coming: asyncio.Task[Message] | None = None
        self._messages = 0
        self.over = False

    def context_for(self, abstract: str, transfer: str = "") -> Context | None:
        """Return an accepted context of a SOP class, of a transfer syntax where one is named."""
        for each in self.contexts.values():
            if each.abstract == abstract and transfer in ("", each.transfer):
                return each
        return None

    def next_id(self) -> int:
        """Return a MessageID for a request."""
        self._messages = self._messages % 0xFFFF + 1
        return self._messages

    async def receive(self) -> Message:
        """Return the next message; what is left of the one before is passed over.

        Raises:
            Released, Aborted: there is none.
            ProtocolFault: what came is none; then the association is to be aborted.
        """
        if self._coming is None:
            return await self._receive(self.patience.idle)
        coming, self._coming = self._coming, None
        try:
            return await asyncio.wait_for(coming, self.patience.idle)
        except TimeoutError as error:
            raise Aborted(f"nothing came for {self.patience.idle:g} seconds") from error

    async def arrived(self) -> Message | None:
        """Return a message if one is there already; how long none comes does not matter. Raises as `receive`."""
        if self._coming is None:
            self._coming = asyncio.create_task(self._receive(None))
        await asyncio.sleep(0)
        return await self.receive() if self._coming.done() else None

    async def _receive(self, idle: float | None) -> Message:
        if self._unread is not None:
            async for _ in self.data_of(self._unread):
                pass
        parts: list[bytes] = []
        context, size, last = 0, 0, False
        while not last:
            context, flags, fragment = await self._pdv(self.patience.stalled if parts else idle)
            size += len(fragment)
            if not flags & _COMMAND or size > _MOST_COMMAND:
                raise ProtocolFault("a message begins with its command set, of 64 KB at most", _UNEXPECTED_PDU)
            parts.append(fragment)
            last = bool(flags & _LAST)
        command = decode(b"".join(parts))
        if any(keyword not in command for keyword in _REQUIRED):
            raise ProtocolFault("a command set does not say what it is")
        message = Message(self.contexts[context], command, self)
        self._unread = message if message.has_data else None
        return message

    async def data_of(self, message: Message) -> AsyncIterator[bytes]:
        """Yield the data set of the message that was received last. Raises Ended, ProtocolFault."""
        if self._unread is not message:
            return
        last = False
        while not last:
            context, flags, fragment = await self._pdv(self.patience.stalled)
            if flags & _COMMAND or context != message.context.id:
                raise ProtocolFault("a data set was expected", _UNEXPECTED_PDU)
            last = bool(flags & _LAST)
            if last:
                self._unread = None
            if fragment:
                yield fragment

    async def _pdv(self, within: float | None) -> tuple[int, int, bytes]:
        """Return the next PDV: its context, flags and fragment."""
        while not self._pdvs:
            kind, body = await self._link.read(within)
            if kind == Pdu.RELEASE_RQ:
                self.over = True
                await self._link.write(Pdu.RELEASE_RP, bytes(4), self.patience.stalled)
                raise Released("the association was released")
            if kind == Pdu.ABORT:
                self.over = True
                raise Aborted("the association was aborted")
            if kind != Pdu.DATA:
                raise ProtocolFault(f"a PDU of type {kind} was not expected", _UNEXPECTED_PDU)
            self._pdvs = _pdvs(body)
        pdv = self._pdvs.pop(0)
        if pdv[0] not in self.contexts:
            raise ProtocolFault(f"presentation context {pdv[0]} was not accepted")
        return pdv

    async def send(
        self, context: Context, command: Mapping[str, Value], data: bytes | AsyncIterator[bytes] | None = None
    ) -> None:
        """Send a message. Raises Aborted: nobody takes it."""
        kind = NO_DATA if data is None else 0
        await self._send_all(context.id, _COMMAND, encode({**command, "CommandDataSetType": kind}))
        if isinstance(data, bytes):
            await self._send_all(context.id, 0, data)
        elif data is not None:
            await self._send_chunks(context.id, data)

    async def _send_all(self, context: int, flags: int, data: bytes) -> None:
        view, most = memoryview(data), self._fragment
        starts = range(0, len(data), most) or (0,)
        for start in starts:
            last = _LAST if start + most >= len(data) else 0
            await self._send_fragment(context, flags | last, view[start : start + most])

    async def _send_chunks(self, context: int, chunks: AsyncIterator[bytes]) -> None:
        """Send a data set chunk by chunk; which fragment is the last is known when no more follows."""
        held = b""
        async for chunk in chunks:
            if held:
                for start in range(0, len(held), self._fragment):
                    await self._send_fragment(context, 0, memoryview(held)[start : start + self._fragment])
            held = chunk
        await self._send_all(context, 0, held)

    async def _send_fragment(self, context: int, flags: int, fragment: bytes | memoryview) -> None:
        size = len(fragment)
        head = struct.pack(">BxLLBB", Pdu.DATA, size + _PDV, size + 2, context, flags)
        await self._link.write_parts((head, fragment), self.patience.stalled)

    async def release(self) -> None:
        """Release the association in order; what still comes is passed over."""
        if self.over:
            return
        self.over = True
        await self._link.write(Pdu.RELEASE_RQ, bytes(4), self.patience.stalled)
        try:
            while (await self._link.read(self.patience.stalled))[0] not in (Pdu.RELEASE_RP, Pdu.ABORT):
                pass
        except (Ended, ProtocolFault):
            return

    async def abort(self, source: int = 0, reason: int = 0) -> None:
        """Abort the association. source 0: the user of the service, 2: what keeps to the protocol."""
        if self.over:
            return
        self.over = True
        await self._link.say_abort(source, reason)

    async def close(self) -> None:
        """Close the connection."""
        if self._coming is not None:
            self._coming.cancel()
            await asyncio.gather(self._coming, return_exceptions=True)
        await self._link.close()


def _pdvs(body: bytes) -> list[tuple[int, int, bytes]]:
    """Return the PDVs of a P-DATA-TF: context, flags, fragment."""
    found, place = [], 0
    while place < len(body):
        length = int.from_bytes(body[place : place + 4], "big")
        if length < 2 or place + 4 + length > len(body):
            raise ProtocolFault("a PDV is not as long as it says", 6)
        found.append((body[place + 4], body[place + 5], body[place + 6 : place + 4 + length]))
        place += 4 + length
    return found


def answer_to(message: Message, status: int, **more: Value) -> dict[str, Value]:
    """Return the command set of a response to a request, with the SOP class and instance that it is about."""
    command = message.command
    sop_class = command.get("AffectedSOPClassUID") or command.get("RequestedSOPClassUID", "")
    instance = command.get("AffectedSOPInstanceUID") or command.get("RequestedSOPInstanceUID", "")
    told: dict[str, Value] = {
        "CommandField": Field(message.field | RESPONSE),
        "MessageIDBeingRespondedTo": message.id,
        "Status": status,
    }
    if sop_class:
        told["AffectedSOPClassUID"] = sop_class
    if instance:
        told["AffectedSOPInstanceUID"] = instance
    return {**told, **more}
