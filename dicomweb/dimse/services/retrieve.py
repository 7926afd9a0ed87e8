"""C-MOVE and C-GET: what is stored is sent to an AE of the table, or over the association that asked for it.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part04/sect_C.4.2.html
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from dicomweb.dimse import sending, status
from dicomweb.dimse.calling import call_ae
from dicomweb.dimse.catalog import PATIENT_GET, PATIENT_MOVE, STUDY_GET, STUDY_MOVE
from dicomweb.dimse.queries import STUDY, chosen, patients_named
from dicomweb.dimse.sending import Sent
from dicomweb.dimse.session import Refusal, Session
from dicomweb.dimse.table import Ae
from dicomweb.dimse.tables import tables_of
from dicomweb.dimse.wire.association import Association, Message
from dicomweb.dimse.wire.command import Field, Value
from dicomweb.dimse.wire.dataset import text
from dicomweb.dimse.wire.faults import Aborted, Ended, Refused
from dicomweb.model.values import DicomJson, Instance
from fhir_server.plugin_api import PluginContext

_FAILED: Final = "00080058"
_ROOTS: Final = {STUDY_MOVE: "study", STUDY_GET: "study", PATIENT_MOVE: "patient", PATIENT_GET: "patient"}
_OFTEN: Final = 0.5
"""Seconds between two pending answers: one for each of thousands of slices would only slow them down."""
_MOST_FAILED: Final = 1_000


@dataclass(slots=True)
class _Course:
    """How far a retrieval came."""

    session: Session
    message: Message
    ctx: PluginContext
    instances: Sequence[Instance]
    completed: int = 0
    warned: int = 0
    failed: list[str] = field(default_factory=list)
    cancelled: bool = False
    told: float = 0

    def note(self, sent: Sent) -> None:
        """Count what became of an object."""
        if sent.failed:
            self.failed.append(sent.sop_instance)
        elif status.is_warning(sent.status):
            self.warned += 1
        else:
            self.completed += 1

    @property
    def remaining(self) -> int:
        """How many are still to be sent."""
        return len(self.instances) - self.completed - self.warned - len(self.failed)

    def counts(self, *, pending: bool) -> dict[str, Value]:
        """Return the numbers of an answer."""
        told: dict[str, Value] = {
            "NumberOfCompletedSuboperations": min(self.completed, 0xFFFF),
            "NumberOfFailedSuboperations": min(len(self.failed), 0xFFFF),
            "NumberOfWarningSuboperations": min(self.warned, 0xFFFF),
        }
        if pending or self.cancelled:
            told["NumberOfRemainingSuboperations"] = min(self.remaining, 0xFFFF)
        return told

    async def say_pending(self, now: float) -> None:
        """Say how far it came, now and then."""
        if now - self.told >= _OFTEN and self.remaining:
            self.told = now
            await self.session.answer(self.message, status.PENDING, more=self.counts(pending=True))

    async def say_done(self) -> None:
        """Say how it went, with the instances that failed."""
        code = status.CANCEL if self.cancelled else status.WARNING if self.failed else status.SUCCESS
        if self.failed and not self.completed and not self.warned and not self.cancelled:
            code = status.CANNOT_SEND
        listed = {_FAILED: {"vr": "UI", "Value": self.failed[:_MOST_FAILED]}} if self.failed else None
        self.session.numbers.done(self.message.field, failed=bool(self.failed))
        await self.session.answer(self.message, code, listed, self.counts(pending=False))


async def move(session: Session, message: Message) -> None:
    """Send to the AE that the request names."""
    identifier = await session.identifier(message)
    ae = _destination(session, message.text("MoveDestination"))
    async with session.queries:
        course = await _course(session, message, identifier)
        if not course.instances:
            await course.say_done()
            return
        originator: dict[str, Value] = {
            "MoveOriginatorApplicationEntityTitle": session.peer.title,
            "MoveOriginatorMessageID": message.id,
        }
        try:
            association = await call_ae(session.host, ae, sending.proposals(course.instances))
        except (Aborted, Refused) as error:
            raise Refusal(status.CANNOT_SEND, str(error), **_none_sent(course)) from error
        try:
            await _send_all(course, association, originator)
            await association.release()
        except Ended:
            if session.association.over:
                raise
            course.failed += [each.sop for each in course.instances[-course.remaining :]] if course.remaining else []
            session.numbers.broken(session.peer)
        finally:
            await association.close()
        await course.say_done()


def _none_sent(course: _Course) -> dict[str, Value]:
    return {"NumberOfFailedSuboperations": min(len(course.instances), 0xFFFF)}


def _destination(session: Session, title: str) -> Ae:
    """Return the AE that objects are to be sent to. Raises Refusal."""
    ae = tables_of(session.host).now.find(title)
    if ae is None or not ae.port or not ae.host or ae.tenant != session.peer.tenant:
        raise Refusal(status.UNKNOWN_DESTINATION, "the destination is no AE that is known here")
    return ae


async def _course(session: Session, message: Message, identifier: DicomJson) -> _Course:
    root = _ROOTS.get(message.context.abstract)
    if root is None:
        raise Refusal(status.CLASS_NOT_SUPPORTED, "this presentation context is not for retrievals")
    ctx = await session.ctx()
    places = chosen(identifier, "patient" if root == "patient" else "study")
    for query in patients_named(identifier, "patient" if root == "patient" else "study"):
        found = await session.archive.find(ctx, query)
        places += [{"study": text(row, STUDY)} for row in found.rows]
    instances = [each for place in places for each in await session.archive.select(ctx, place)]
    return _Course(session, message, ctx, instances)


async def _send_all(course: _Course, association: Association, originator: dict[str, Value]) -> None:
    loop = asyncio.get_running_loop()
    for instance in course.instances:
        came = await course.session.association.arrived()
        if came is not None and came.field == Field.C_CANCEL_RQ and came.id == course.message.id:
            course.cancelled = True
            return
        course.note(await sending.send(course.ctx, association, instance, originator))
        await course.say_pending(loop.time())


async def get(session: Session, message: Message) -> None:
    """Send over the association that asked."""
    identifier = await session.identifier(message)
    async with session.queries:
        course = await _course(session, message, identifier)
        loop = asyncio.get_running_loop()
        for instance in course.instances:
            await _get_one(course, instance)
            if course.cancelled:
                break
            await course.say_pending(loop.time())
        await course.say_done()


async def _get_one(course: _Course, instance: Instance) -> None:
    """Send one object and wait for its answer; a C-CANCEL may come before it."""
    association = course.session.association
    sent = await sending.start(course.ctx, association, instance)
    if isinstance(sent, Sent):
        course.note(sent)
        return
    while True:
        answer = await association.receive()
        if answer.field == Field.C_CANCEL_RQ and answer.id == course.message.id:
            course.cancelled = True
        if answer.field == Field.C_STORE_RSP and answer.id == sent:
            course.note(sending.outcome(instance, answer))
            return
