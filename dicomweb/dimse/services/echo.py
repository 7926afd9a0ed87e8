"""C-ECHO: is anybody there? Spec: PS3.4 annex A."""

from dicomweb.dimse import status
from dicomweb.dimse.session import Session
from dicomweb.dimse.wire.association import Message


async def echo(session: Session, message: Message) -> None:
    """Say yes."""
    session.numbers.done(message.field)
    await session.answer(message, status.SUCCESS)
