"""What we ask of others: C-ECHO, C-FIND, C-MOVE, C-GET, storage commitment."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

from dicomweb.dimse import status
from dicomweb.dimse.catalog import COMMITMENT, COMMITMENT_INSTANCE, VERIFICATION
from dicomweb.dimse.wire.association import Association, Message, answer_to
from dicomweb.dimse.wire.command import Command, Field, Value
from dicomweb.dimse.wire.dataset import decode, encode
from dicomweb.dimse.wire.faults import Aborted
from dicomweb.dimse.wire.negotiation import Context
from dicomweb.model.values import DicomJson

_MOST_ROW: Final = 1 << 20
_AT_ONCE: Final = 1.0
"""Seconds for which the report of a commitment is waited for; devices that take longer call back."""
Take = Callable[[Message], Awaitable[int]]
"""Stores an object that comes in by C-GET, and returns the status to answer."""


class Failed(Exception):
    """The other side has answered that it did not work."""

    def __init__(self, code: int, comment: str = "") -> None:
        super().__init__(f"status {code:#06x}{': ' if comment else ''}{comment}")
        self.code = code


async def echo(association: Association) -> None:
    """Ask whether somebody is there. Raises Failed, Ended."""
    context = _context(association, VERIFICATION)
    await association.send(context, _command(association, Field.C_ECHO_RQ, VERIFICATION))
    _good(await association.receive())


async def find(association: Association, abstract: str, keys: Mapping[str, Any]) -> AsyncIterator[DicomJson]:
    """Yield what matches. Raises Failed, Ended."""
    context = _context(association, abstract)
    command = _command(association, Field.C_FIND_RQ, abstract, Priority=0)
    await association.send(context, command, encode(keys, context.transfer))
    while True:
        answer = await association.receive()
        if not status.is_pending(answer.number("Status")):
            _good(answer)
            return
        yield decode(await answer.data(_MOST_ROW), answer.context.transfer)


async def move(association: Association, abstract: str, destination: str, identifier: Mapping[str, Any]) -> Command:
    """Have objects sent to an AE; return the last answer, with the counts. Raises Failed, Ended."""
    context = _context(association, abstract)
    command = _command(association, Field.C_MOVE_RQ, abstract, Priority=0, MoveDestination=destination)
    await association.send(context, command, encode(identifier, context.transfer))
    while True:
        answer = await association.receive()
        if not status.is_pending(answer.number("Status")):
            return _good(answer)


async def get(association: Association, abstract: str, identifier: Mapping[str, Any], take: Take) -> Command:
    """Have objects sent over this association; return the last answer, with the counts. Raises Failed, Ended."""
    context = _context(association, abstract)
    command = _command(association, Field.C_GET_RQ, abstract, Priority=0)
    await association.send(context, command, encode(identifier, context.transfer))
    while True:
        message = await association.receive()
        if message.field == Field.C_STORE_RQ:
            await association.send(message.context, answer_to(message, await take(message)))
        elif message.field == Field.C_GET_RSP and not status.is_pending(message.number("Status")):
            return _good(message)


async def ask_commitment(association: Association, asked: Mapping[str, Any]) -> DicomJson | None:
    """Ask that objects be kept; return what the other side says, if it says so at once over this association; None:
    it will say it later, or never.

    Raises:
        Failed: it does not take the request. Ended.
    """
    context = _context(association, COMMITMENT)
    command: dict[str, Value] = {
        "RequestedSOPClassUID": COMMITMENT,
        "CommandField": Field.N_ACTION_RQ,
        "MessageID": association.next_id(),
        "RequestedSOPInstanceUID": COMMITMENT_INSTANCE,
        "ActionTypeID": 1,
    }
    await association.send(context, command, encode(asked, context.transfer))
    _good(await association.receive())
    try:
        async with asyncio.timeout(_AT_ONCE):
            report = await association.receive()
    except TimeoutError:
        return None
    if report.field != Field.N_EVENT_REPORT_RQ:
        raise Aborted("something else came than a report")
    said = decode(await report.data(1 << 24), report.context.transfer)
    await association.send(report.context, answer_to(report, status.SUCCESS, EventTypeID=report.number("EventTypeID")))
    return said


async def report_commitment(association: Association, event: int, data: Mapping[str, Any]) -> None:
    """Say what we hold, to who has asked. Raises Failed, Ended."""
    context = _context(association, COMMITMENT)
    command: dict[str, Value] = {
        "AffectedSOPClassUID": COMMITMENT,
        "CommandField": Field.N_EVENT_REPORT_RQ,
        "MessageID": association.next_id(),
        "AffectedSOPInstanceUID": COMMITMENT_INSTANCE,
        "EventTypeID": event,
    }
    await association.send(context, command, encode(data, context.transfer))
    _good(await association.receive())


def _command(association: Association, field: Field, abstract: str, **more: Value) -> dict[str, Value]:
    return {"AffectedSOPClassUID": abstract, "CommandField": field, "MessageID": association.next_id(), **more}


def _context(association: Association, abstract: str) -> Context:
    context = association.context_for(abstract)
    if context is None:
        raise Failed(status.CLASS_NOT_SUPPORTED, "the other side does not have this service for us")
    return context


def _good(answer: Message) -> Command:
    code = answer.number("Status")
    if code != status.SUCCESS and not status.is_warning(code):
        raise Failed(code, answer.text("ErrorComment"))
    return answer.command
