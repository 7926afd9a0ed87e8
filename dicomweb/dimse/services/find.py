"""C-FIND: studies, series, instances, patients, and the modality worklist.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part04/sect_C.4.html and chapter_K.html
"""

from collections.abc import Iterable

from dicomweb.dimse import status
from dicomweb.dimse.catalog import PATIENT_FIND, STUDY_FIND, WORKLIST
from dicomweb.dimse.queries import answer_of, asked, patients
from dicomweb.dimse.session import Refusal, Session
from dicomweb.dimse.wire.association import Message
from dicomweb.dimse.wire.command import Field
from dicomweb.model.values import DicomJson
from dicomweb.worklist.items import scheduled
from dicomweb.worklist.matching import returned
from fhir_server.plugin_api import AuditFacts, BadRequest, TooCostly


async def find(session: Session, message: Message) -> None:
    """Answer a query, match by match, until the last one or until its asker has had enough."""
    abstract = message.context.abstract
    if abstract not in (PATIENT_FIND, STUDY_FIND, WORKLIST):
        raise Refusal(status.CLASS_NOT_SUPPORTED, "this presentation context is not for queries")
    identifier = await session.identifier(message)
    async with session.queries:
        try:
            rows = await (_orders if abstract == WORKLIST else _stored)(session, identifier, abstract)
        except BadRequest as error:
            raise Refusal(status.DOES_NOT_MATCH, error.issues[0].diagnostics) from error
        except TooCostly as error:
            raise Refusal(status.OUT_OF_RESOURCES, error.issues[0].diagnostics) from error
        await _tell(session, message, rows)


async def _stored(session: Session, identifier: DicomJson, abstract: str) -> Iterable[DicomJson]:
    most = session.settings.dimse_max_matches
    what = asked(identifier, "patient" if abstract == PATIENT_FIND else "study", most)
    found = await session.archive.find(await session.ctx(), what.query)
    if found.more:
        raise Refusal(status.OUT_OF_RESOURCES, f"more than {most} match: ask for less")
    rows = patients(found.rows) if what.level == "PATIENT" else found.rows
    return [answer_of(what, row, session.settings.dimse_title) for row in rows]


async def _orders(session: Session, identifier: DicomJson, abstract: str) -> Iterable[DicomJson]:
    ctx = await session.ctx()
    found = await scheduled(ctx, identifier, session.settings.dimse_max_matches)
    ctx.note(AuditFacts("search-type", 200, "ServiceRequest", note="modality worklist", count=max(1, len(found))))
    return [returned(identifier, row) for row in found]


async def _tell(session: Session, message: Message, rows: Iterable[DicomJson]) -> None:
    for row in rows:
        if await _cancelled(session, message):
            session.numbers.done(message.field)
            await session.answer(message, status.CANCEL)
            return
        await session.answer(message, status.PENDING, row)
    session.numbers.done(message.field)
    await session.answer(message, status.SUCCESS)


async def _cancelled(session: Session, message: Message) -> bool:
    """Tell whether the asker has cancelled. Raises Ended: it is gone."""
    came = await session.association.arrived()
    return came is not None and came.field == Field.C_CANCEL_RQ and came.id == message.id
