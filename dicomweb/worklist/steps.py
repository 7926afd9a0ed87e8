"""Performed procedure steps (MPPS): what a modality says it does, kept as it says it; it moves the Task of its order.

A step belongs to a Task: whoever may see the Task may see the step.

Spec: https://dicom.nema.org/medical/dicom/current/output/chtml/part04/sect_F.7.2.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dicomweb.dimse import status as codes
from dicomweb.model.values import DicomJson
from dicomweb.settings import DicomSettings
from dicomweb.worklist import coding
from dicomweb.worklist.coding import el, items, text
from dicomweb.worklist.items import study_of
from fhir_server.plugin_api import (
    Beside,
    Collection,
    Conflict,
    FhirError,
    PluginContext,
    PreconditionFailed,
    Record,
    RecordChange,
    RecordChanged,
    RecordField,
    instant,
)

STEPS: Final = Collection(
    "dicomweb.steps",
    (RecordField("status"), RecordField("changed", "integer"), RecordField("patient")),
    patient="patient",
)
STATUS: Final = "00400252"
_SCHEDULED: Final = "00400270"
_STEP_ID: Final = "00400253"
_REQUIRED: Final = (_SCHEDULED, "00400253", "00400241", "00400244", "00400245", STATUS, "00080060")
_FINAL: Final = ("COMPLETED", "DISCONTINUED")
_TASK: Final = {"IN PROGRESS": "in-progress", "COMPLETED": "completed", "DISCONTINUED": "failed"}
_NEVER_SET: Final = frozenset((_SCHEDULED, "00100010", "00100020", "00100030", "00100040", _STEP_ID, "00080060"))
"""What N-SET must not change: PS3.4 table F.7.2-1."""
_OPEN: Final = "draft,requested,received,accepted,ready,in-progress,on-hold"
_CODE: Final = {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]}


class StepRefused(Exception):
    """A step that cannot be as it is asked: its DIMSE status, its HTTP status, and why."""

    def __init__(self, code: int, http: int, said: str) -> None:
        super().__init__(said)
        self.code, self.http = code, http


@dataclass(frozen=True, slots=True)
class Step:
    """A step as it is kept."""

    uid: str
    attributes: DicomJson
    task: str
    revision: int
    patient: str = ""

    @property
    def state(self) -> str:
        """IN PROGRESS, COMPLETED or DISCONTINUED."""
        return text(self.attributes, STATUS)


async def create_step(ctx: PluginContext, uid: str, attributes: DicomJson) -> Step:
    """Keep a new step; its order's Task begins. Raises StepRefused, FhirError."""
    missing = next((tag for tag in _REQUIRED if tag not in attributes), "")
    if missing:
        raise StepRefused(codes.MISSING_ATTRIBUTE, 400, f"the attribute {missing} is missing")
    if not uid or len(uid) > 64 or set(uid) - set("0123456789."):
        raise StepRefused(codes.INVALID_INSTANCE, 400, "the UID of the step is none")
    if text(attributes, STATUS) != "IN PROGRESS":
        raise StepRefused(codes.INVALID_VALUE, 400, "a step begins IN PROGRESS")
    if await ctx.store.get(STEPS.name, uid) is not None:
        raise StepRefused(codes.DUPLICATE, 409, "there is a step of this UID")
    task = await _task_of(ctx, uid, attributes)
    return await _kept(ctx, uid, attributes, task, 0)


async def change_step(ctx: PluginContext, uid: str, changes: DicomJson) -> Step:
    """Change a step that goes on; its Task follows. Raises StepRefused, FhirError."""
    step = await read_step(ctx, uid)
    if step.state in _FINAL:
        raise StepRefused(codes.PROCESSING_FAILURE, 409, "the step is over and may no longer be updated")
    forbidden = next((tag for tag in changes if tag in _NEVER_SET), "")
    if forbidden:
        raise StepRefused(codes.INVALID_VALUE, 400, f"the attribute {forbidden} cannot be changed")
    state = text(changes, STATUS) or step.state
    if state not in _TASK:
        raise StepRefused(codes.INVALID_VALUE, 400, "the status is IN PROGRESS, COMPLETED or DISCONTINUED")
    attributes = {**step.attributes, **changes}
    if state in _FINAL and not text(attributes, "00400250"):
        raise StepRefused(codes.MISSING_VALUE, 400, "a step that is over says when it ended")
    task = await ctx.client.read("Task", step.task)
    return await _kept(ctx, uid, attributes, task, step.revision)


async def read_step(ctx: PluginContext, uid: str) -> Step:
    """Return a step that the caller may see. Raises StepRefused: there is none."""
    record = await ctx.store.get(STEPS.name, uid)
    if record is not None and await ctx.client.find("Task", str(record.value["task"])) is not None:
        return _step(record)
    raise StepRefused(codes.NO_SUCH_INSTANCE, 404, "there is no such step")


def _step(record: Record) -> Step:
    value: Mapping[str, Any] = record.value
    return Step(record.key, dict(value["attributes"]), value["task"], record.revision, value.get("patient", ""))


async def _kept(ctx: PluginContext, uid: str, attributes: DicomJson, task: Mapping[str, Any], revision: int) -> Step:
    """Write step and Task, both or neither."""
    state = text(attributes, STATUS)
    moved = _moved(ctx, uid, attributes, task, state)
    id_ = str(task.get("id") or ctx.new_id())
    patient = str((moved.get("for") or {}).get("reference", "")).removeprefix("Patient/")
    value = {
        "attributes": attributes, "status": state, "task": id_, "changed": ctx.now(), "patient": patient,
    }  # fmt: skip
    beside = Beside((RecordChange(STEPS.name, uid, value, expected=revision),))
    try:
        version = str((task.get("meta") or {}).get("versionId", ""))
        await ctx.client.update({**moved, "id": id_}, if_match=version, beside=beside)
    except (RecordChanged, Conflict, PreconditionFailed) as error:
        raise StepRefused(codes.PROCESSING_FAILURE, 409, "somebody else has just changed the step") from error
    return Step(uid, attributes, id_, revision + 1, patient)


def _moved(ctx: PluginContext, uid: str, attributes: DicomJson, task: Mapping[str, Any], state: str) -> dict[str, Any]:
    start = coding.fhir_time(text(attributes, "00400244"), text(attributes, "00400245"))
    end = coding.fhir_time(text(attributes, "00400250"), text(attributes, "00400251"))
    period = {name: value for name, value in (("start", start), ("end", end)) if value}
    reason = items(attributes, "00400281")
    told = {name: value for name, value in task.items() if name != "meta"}
    told |= {"status": _TASK[state], "lastModified": instant(ctx.now())}
    if period and (not end or start <= end):
        told["executionPeriod"] = period
    if state == "DISCONTINUED" and reason:
        told["statusReason"] = coding.concept_of(reason[0])
    return told


async def _task_of(ctx: PluginContext, uid: str, attributes: DicomJson) -> dict[str, Any]:
    """Return the Task that the step moves: the open one of its order, or a new one."""
    order = await _order_of(ctx, attributes)
    identifier = {"system": coding.UIDS, "value": f"urn:oid:{uid}"}
    if order is not None:
        based = f"ServiceRequest/{order['id']}"
        async for task in ctx.client.each("Task", [("based-on", based), ("status", _OPEN)]):
            return {**task, "identifier": [*(task.get("identifier") or ()), identifier]}
    made: dict[str, Any] = {
        "resourceType": "Task", "status": "in-progress", "intent": "order", "code": _CODE,
        "identifier": [identifier], "authoredOn": instant(ctx.now()),
    }  # fmt: skip
    if order is not None:
        reference = {"reference": f"ServiceRequest/{order['id']}"}
        return {**made, "basedOn": [reference], "focus": reference, "for": order["subject"]}
    patient = await _patient_of(ctx, attributes)
    return {**made, "for": {"reference": f"Patient/{patient}"}} if patient else made


async def _order_of(ctx: PluginContext, attributes: DicomJson) -> Mapping[str, Any] | None:
    """Return the order that the step belongs to, by its accession number, its scheduled step or its study."""
    settings: DicomSettings = ctx.settings
    for step in items(attributes, _SCHEDULED):
        accession, scheduled, study = (text(step, tag) for tag in ("00080050", "00400009", "0020000D"))
        system = f"{settings.accession_system}|" if settings.accession_system else ""
        candidates: list[list[tuple[str, str]]] = []
        if accession:
            candidates.append([("identifier", f"{system}{accession}")])
        if scheduled and scheduled.replace("-", "").replace(".", "").isalnum():
            candidates.append([("_id", scheduled)])
        if study:
            candidates.append([("identifier", f"{coding.UIDS}|urn:oid:{study}")])
        for criteria in candidates:
            async for order in ctx.client.each("ServiceRequest", criteria):
                return order
        booked = await _booked_order(ctx, scheduled, study)
        if booked is not None:
            return booked
    return None


async def _booked_order(ctx: PluginContext, scheduled: str, study: str) -> Mapping[str, Any] | None:
    """Return the order of an appointment, whose id the worklist gave as that of the scheduled step."""
    if not scheduled or not scheduled.replace("-", "").replace(".", "").isalnum():
        return None
    try:
        appointment = await ctx.client.find("Appointment", scheduled)
    except FhirError:
        return None
    for reference in (appointment or {}).get("basedOn") or ():
        id_ = str(reference.get("reference", "")).removeprefix("ServiceRequest/")
        order = await ctx.client.find("ServiceRequest", id_)
        if order is not None and study in ("", study_of(order)):
            return order
    return None


async def _patient_of(ctx: PluginContext, attributes: DicomJson) -> str:
    """Return the id of the one patient who has the identifier that the step names; empty: nobody, or several."""
    value, issuer = text(attributes, "00100020"), text(attributes, "00100021")
    settings: DicomSettings = ctx.settings
    issuer = issuer or settings.default_issuer
    system = settings.issuers.get(issuer, issuer if ":" in issuer else "")
    if not value or not system:
        return ""
    found: Sequence[str] = [
        str(each["id"]) async for each in ctx.client.each("Patient", [("identifier", f"{system}|{value}")])
    ]
    return found[0] if len(found) == 1 else ""


def shown(step: Step) -> DicomJson:
    """Return a step as it is retrieved."""
    return {**step.attributes, "00080016": el("UI", "1.2.840.10008.3.1.2.3.3"), "00080018": el("UI", step.uid)}
