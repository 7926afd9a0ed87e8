"""Storage commitment: asked of us (N-ACTION), and what others say that they hold (N-EVENT-REPORT).

An AE with a port in the table is called back, as devices expect that hang up after asking; others are told over the
association that they asked on.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part04/sect_J.3.html
"""

from typing import Final

from dicomweb.dimse import status
from dicomweb.dimse.catalog import COMMITMENT, COMMITMENT_INSTANCE
from dicomweb.dimse.outbox import Errand, queue_errand
from dicomweb.dimse.promises import note_promise
from dicomweb.dimse.session import Refusal, Session
from dicomweb.dimse.wire.association import Message
from dicomweb.dimse.wire.command import Command, Field
from dicomweb.dimse.wire.dataset import encode
from dicomweb.worklist.commitments import CommitmentRefused, Verdict, is_taken, judged, remember

_REQUEST: Final = 1


async def commit(session: Session, message: Message) -> None:
    """Take a request, and say what we hold."""
    if message.context.abstract != COMMITMENT or message.text("RequestedSOPInstanceUID") != COMMITMENT_INSTANCE:
        raise Refusal(status.NO_SUCH_INSTANCE, "commitment is asked of its well-known instance")
    if message.number("ActionTypeID") != _REQUEST:
        raise Refusal(status.NO_SUCH_ACTION, "commitment has one action, 1")
    asked = await session.identifier(message)
    ctx = await session.ctx()
    try:
        async with session.queries:
            verdict = await judged(ctx, asked)
    except CommitmentRefused as refused:
        raise Refusal(refused.code, str(refused)) from refused
    if await is_taken(ctx, verdict.transaction):
        raise Refusal(status.DUPLICATE, "the transaction UID is in use")
    await remember(ctx, verdict, session.settings.dimse_title)
    back = session.peer.ae if session.peer.ae is not None and session.peer.ae.port else None
    if back is not None:
        await queue_errand(ctx, Errand("report", back.title, verdict.transaction))
    session.numbers.done(message.field)
    await session.answer(message, status.SUCCESS, more={"ActionTypeID": _REQUEST})
    if back is None:
        await _tell(session, message, verdict)


async def _tell(session: Session, message: Message, verdict: Verdict) -> None:
    """Report over the association that asked; its answer is passed over when it comes."""
    command: Command = {
        "AffectedSOPClassUID": COMMITMENT,
        "CommandField": Field.N_EVENT_REPORT_RQ,
        "MessageID": session.association.next_id(),
        "AffectedSOPInstanceUID": COMMITMENT_INSTANCE,
        "EventTypeID": verdict.event,
    }
    data = encode(verdict.data(session.settings.dimse_title), message.context.transfer)
    await session.association.send(message.context, command, data)


async def committed(session: Session, message: Message) -> None:
    """Note what another archive says that it holds of what we sent."""
    if message.context.abstract != COMMITMENT:
        raise Refusal(status.CLASS_NOT_SUPPORTED, "this presentation context is not for reports")
    said = await session.identifier(message)
    known = await note_promise(session.host, session.peer.tenant, session.peer.title, said)
    if not known:
        raise Refusal(status.INVALID_VALUE, "we asked nothing with this transaction UID")
    session.numbers.done(message.field)
    await session.answer(message, status.SUCCESS, more={"EventTypeID": message.number("EventTypeID")})
