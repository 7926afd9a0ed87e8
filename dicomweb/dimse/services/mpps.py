"""N-CREATE, N-SET, N-GET of performed procedure steps. Spec: PS3.4 annex F."""

import uuid

from dicomweb.dimse import status
from dicomweb.dimse.catalog import MPPS, MPPS_RETRIEVE
from dicomweb.dimse.session import Refusal, Session
from dicomweb.dimse.wire.association import Message
from dicomweb.model.values import DicomJson
from dicomweb.worklist.steps import StepRefused, change_step, create_step, read_step, shown

_NO_LONGER = 0xA710
"""ErrorID of PS3.4 table F.7.2-2: the step may no longer be updated."""


async def mpps_create(session: Session, message: Message) -> None:
    """Begin a step."""
    _only(message, MPPS)
    uid = message.text("AffectedSOPInstanceUID") or f"2.25.{uuid.uuid4().int}"
    attributes = await session.identifier(message)
    try:
        await create_step(await session.ctx(), uid, attributes)
    except StepRefused as refused:
        raise Refusal(refused.code, str(refused)) from refused
    session.numbers.done(message.field)
    await session.answer(message, status.SUCCESS, more={"AffectedSOPInstanceUID": uid})


async def mpps_set(session: Session, message: Message) -> None:
    """Go on with one, or end it."""
    _only(message, MPPS)
    changes = await session.identifier(message)
    try:
        await change_step(await session.ctx(), message.text("RequestedSOPInstanceUID"), changes)
    except StepRefused as refused:
        more = {"ErrorID": _NO_LONGER} if refused.code == status.PROCESSING_FAILURE else {}
        raise Refusal(refused.code, str(refused), **more) from refused
    session.numbers.done(message.field)
    await session.answer(message, status.SUCCESS)


async def mpps_get(session: Session, message: Message) -> None:
    """Show one."""
    _only(message, MPPS_RETRIEVE)
    wanted = message.command.get("AttributeIdentifierList") or ()
    try:
        step = await read_step(await session.ctx(), message.text("RequestedSOPInstanceUID"))
    except StepRefused as refused:
        raise Refusal(refused.code, str(refused)) from refused
    told: DicomJson = shown(step)
    if isinstance(wanted, tuple) and wanted:
        names = {f"{tag:08X}" for tag in wanted}
        told = {tag: value for tag, value in told.items() if tag in names}
    session.numbers.done(message.field)
    await session.answer(message, status.SUCCESS, told)


def _only(message: Message, abstract: str) -> None:
    if message.context.abstract != abstract:
        raise Refusal(status.CLASS_NOT_SUPPORTED, "this presentation context is not for that")
