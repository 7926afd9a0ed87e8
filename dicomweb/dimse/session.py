"""Session: one association that somebody opened to us, from its first message to its end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Final

from dicomweb.dimse import status
from dicomweb.dimse.admission import Peer
from dicomweb.dimse.numbers import Numbers
from dicomweb.dimse.wire.association import Association, Message, answer_to
from dicomweb.dimse.wire.command import RESPONSE, Command, Field, Value, comment
from dicomweb.dimse.wire.dataset import decode, encode
from dicomweb.dimse.wire.faults import Aborted, Ended, ProtocolFault
from dicomweb.doors import archive
from dicomweb.model.archive import Archive, Group
from dicomweb.model.values import DicomJson, Source
from dicomweb.settings import DicomSettings
from fhir_server.plugin_api import FhirError, Forbidden, Host, PluginContext, Unauthorized

_log = logging.getLogger("dicomweb.dimse")
_PROVIDER: Final = 2
"""The source of A-ABORT that says: what came is no DICOM."""


class Refusal(Exception):
    """A request that is answered with a failure: its status, and why in words without any patient data."""

    def __init__(self, code: int, reason: str, **more: Value) -> None:
        super().__init__(reason)
        self.code, self.more = code, more


@dataclass(slots=True)
class Session:
    """What a service needs to answer.

    queries: the room for queries and retrievals of all sessions.
    later: what is done when the association has ended.
    """

    host: Host
    peer: Peer
    association: Association
    queries: asyncio.Semaphore
    numbers: Numbers
    group: Group | None = None
    later: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    _ctx: PluginContext | None = None
    _made: float = 0

    @property
    def settings(self) -> DicomSettings:
        """The settings of imaging."""
        found: DicomSettings = self.host.settings
        return found

    @property
    def archive(self) -> Archive:
        """The archive."""
        return archive(self.host)

    async def ctx(self) -> PluginContext:
        """Return the context of the AE: what its client may, at this moment or shortly before.

        Raises:
            Refusal: its client is gone or switched off.
        """
        now = asyncio.get_running_loop().time()
        if self._ctx is None or now - self._made >= self.settings.dimse_checked:
            try:
                self._ctx = await self.host.as_client(self.peer.tenant, self.peer.client)
            except Unauthorized:
                raise Refusal(status.NOT_AUTHORIZED, "the client of this AE is not registered") from None
            self._made = now
        return self._ctx

    async def acting(self, field: int) -> AbstractContextManager[None]:
        """Have what a message brings about recorded as the AE's, from where it calls. An echo touches nothing."""
        return nullcontext() if field == Field.C_ECHO_RQ else (await self.ctx()).acting(self.peer.address)

    async def group_of(self, ctx: PluginContext) -> Group:
        """Return the group of the objects that come by this association."""
        if self.group is None:
            source = Source("c-store", self.peer.title, self.peer.called, self.peer.address)
            self.group = self.archive.begin(ctx, source)
        return self.group

    async def identifier(self, message: Message) -> DicomJson:
        """Return the data set of a request that is no object. Raises Refusal: it has none."""
        if not message.has_data:
            raise Refusal(status.MISTYPED, "the request has no data set")
        data = await message.data(self.settings.dimse_max_identifier)
        try:
            return decode(data, message.context.transfer)
        except ProtocolFault as fault:
            raise Refusal(status.CANNOT_PROCESS, str(fault)) from fault

    async def answer(
        self, message: Message, code: int, data: Mapping[str, object] | None = None, more: Command | None = None
    ) -> None:
        """Send a response. Raises Aborted."""
        raw = None if data is None else encode(data, message.context.transfer)
        await self.association.send(message.context, answer_to(message, code, **(more or {})), raw)


Serve = Callable[[Session, Message], Awaitable[None]]


async def converse(session: Session, services: Mapping[int, Serve]) -> None:
    """Answer messages until the association is over."""
    try:
        while True:
            await _answered(session, services, await session.association.receive())
    except Aborted as end:
        _log.warning("the association of %s has broken off: %s", session.peer.title, end)
        session.numbers.ended(session.peer, end)
        await session.association.abort(_PROVIDER)  # where it is we who do not wait any longer
    except Ended as end:
        session.numbers.ended(session.peer, end)
    except ProtocolFault as fault:
        _log.warning("the association of %s is aborted: %s", session.peer.title, fault)
        session.numbers.broken(session.peer)
        await session.association.abort(_PROVIDER, fault.reason)
    except asyncio.CancelledError:
        await session.association.abort()
        raise
    finally:
        await _finished(session)


async def _answered(session: Session, services: Mapping[int, Serve], message: Message) -> None:
    serve = services.get(message.field)
    if serve is None:
        if message.field & RESPONSE or message.field == Field.C_CANCEL_RQ:
            return  # late: what it was about is over
        raise ProtocolFault(f"a message of type {message.field:#06x} is for nobody here")
    try:
        with await session.acting(message.field):
            await serve(session, message)
    except Refusal as refusal:
        await _refuse(session, message, refusal.code, str(refusal), refusal.more)
    except Forbidden:
        await _refuse(session, message, status.NOT_AUTHORIZED, "this AE may not do that", {})
    except FhirError as error:
        await _refuse(session, message, status.CANNOT_PROCESS, error.issues[0].diagnostics or "it was refused", {})
    except (Ended, ProtocolFault):
        raise
    except Exception:  # one message that fails must not end the listener; the association goes on
        _log.exception("a message of type %#06x has failed", message.field)
        await _refuse(session, message, status.PROCESSING_FAILURE, "it failed; the log says why", {})


async def _refuse(session: Session, message: Message, code: int, reason: str, more: Mapping[str, Value]) -> None:
    session.numbers.refused(message.field, code)
    await session.answer(message, code, more={"ErrorComment": comment(reason), **more})


async def _finished(session: Session) -> None:
    await session.association.close()
    if session.group is not None:
        try:
            await session.archive.end(await session.ctx(), session.group)
        except (Refusal, FhirError):
            _log.warning("what %s stored is put together later", session.peer.title)
        except Exception:  # the objects are durable; their study is put together later
            _log.exception("what %s stored is put together later", session.peer.title)
    for each in session.later:
        try:
            await each()
        except (Aborted, FhirError):
            _log.warning("what was to follow the association of %s has failed", session.peer.title)
