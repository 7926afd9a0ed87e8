"""C-STORE: objects that come in, their data sets written as they come.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part04/chapter_B.html
"""

from collections.abc import AsyncIterator
from typing import Final

from dicomweb.dimse import status
from dicomweb.dimse.catalog import service_of
from dicomweb.dimse.session import Refusal, Session
from dicomweb.dimse.wire.association import Message
from dicomweb.dimse.wire.command import Command, comment
from dicomweb.model.values import Incoming
from fhir_server.plugin_api import Forbidden

_WHOLE: Final = 4 << 20
"""Bytes up to which an object is read whole; larger ones are stored as they come."""
_CODES: Final = {
    status.MISSING_ATTRIBUTE: status.DOES_NOT_MATCH,
    status.MISSING_VALUE: status.DOES_NOT_MATCH,
    status.INVALID_VALUE: status.DOES_NOT_MATCH,
}
"""What C-STORE has no status for: PS3.4 table B.2-1."""


async def store(session: Session, message: Message) -> None:
    """Store an object. It is durable when the answer says so."""
    sop_class, sop_instance = message.text("AffectedSOPClassUID"), message.text("AffectedSOPInstanceUID")
    if service_of(sop_class, unknown_storage=True) != "store" or "store" not in session.peer.rights:
        raise Refusal(status.CLASS_NOT_SUPPORTED, "objects of this class are not stored for this AE")
    if message.context.abstract != sop_class:
        raise Refusal(status.CLASS_NOT_SUPPORTED, "the object is not of the class of its presentation context")
    if not message.has_data:
        raise Refusal(status.DOES_NOT_MATCH, "the request has no object")
    ctx = await session.ctx()
    group = await session.group_of(ctx)
    incoming = Incoming(await _data(message), message.context.transfer, sop_class=sop_class, sop_instance=sop_instance)
    try:
        outcome = await session.archive.receive(ctx, group, incoming)
    except Forbidden:
        raise Refusal(status.NOT_AUTHORIZED, "this AE may not store here") from None
    code = _CODES.get(outcome.status, outcome.status)
    session.numbers.done(message.field, failed=outcome.failed)
    more: Command = {"ErrorComment": comment(outcome.reason)} if code and outcome.reason else {}
    await session.answer(message, code, more=more)


async def _data(message: Message) -> bytes | AsyncIterator[bytes]:
    """Return the data set: whole if it is small, else as it comes."""
    chunks, parts, size = message.chunks(), [], 0
    async for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > _WHOLE:
            return _all(parts, chunks)
    return b"".join(parts)


async def _all(parts: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while parts:
        yield parts.pop(0)
    async for chunk in rest:
        yield chunk
