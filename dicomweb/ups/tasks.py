"""The Task of a workitem: what FHIR sees of it. Whoever may see the Task may see the workitem, and nobody else.

The workitem is the truth: a Task that is changed by itself moves no workitem.
"""

from collections.abc import Mapping
from typing import Any, Final

from dicomweb.model.values import DicomJson
from dicomweb.settings import DicomSettings
from dicomweb.ups import workitem as w
from dicomweb.worklist import coding
from dicomweb.worklist.coding import items, text
from fhir_server.plugin_api import FhirError, PluginContext, instant

_STATUS: Final = {
    "SCHEDULED": "requested",
    "IN PROGRESS": "in-progress",
    "COMPLETED": "completed",
    "CANCELED": "cancelled",
}
_PRIORITY: Final = {"HIGH": "urgent", "MEDIUM": "routine", "LOW": "routine"}
_WORKITEM_CODE: Final = "00404018"
_INPUT: Final = "00404021"


def task_of(ctx: PluginContext, item: w.Workitem, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the Task as it is to be written; what it has beside is kept."""
    attributes = item.attributes
    ready = item.state == "SCHEDULED" and text(attributes, w.READINESS) == "READY"
    told: dict[str, Any] = {name: value for name, value in (before or {}).items() if name != "meta"}
    told |= {
        "resourceType": "Task",
        "id": item.task,
        "identifier": [{"system": coding.UIDS, "value": f"urn:oid:{item.uid}"}],
        "status": "ready" if ready else _STATUS[item.state],
        "intent": "order",
        "priority": _PRIORITY.get(text(attributes, w.PRIORITY), "routine"),
        "description": text(attributes, w.STEP_LABEL),
    }
    now = instant(ctx.now())
    told["lastModified"] = max(now, told.setdefault("authoredOn", now))  # a clock may have been set back (inv-1)
    codes = items(attributes, _WORKITEM_CODE)
    if codes:
        told["code"] = coding.concept_of(codes[0])
    if item.patient:
        told["for"] = {"reference": f"Patient/{item.patient}"}
    reason = _reason(attributes)
    if item.state == "CANCELED" and reason:
        told["statusReason"] = {"text": reason}
    return {name: value for name, value in told.items() if value not in ("", None)}


def _reason(attributes: DicomJson) -> str:
    for progress in items(attributes, w.PROGRESS):
        for code in items(progress, w.REASON_CODES):
            return text(code, "00080104")
        return text(progress, w.REASON)
    return ""


async def patient_of(ctx: PluginContext, attributes: DicomJson) -> str:
    """Return the id of the patient whom a workitem is about: of the study that it takes in, else the one who has its
    Patient ID; empty: nobody, or several."""
    for item in items(attributes, _INPUT):
        study = text(item, "0020000D")
        found = await _one(ctx, "ImagingStudy", f"{coding.UIDS}|urn:oid:{study}") if study else None
        reference = str(coding.first(found or {}, "subject", "reference") or "")
        if reference.startswith("Patient/"):
            return reference.removeprefix("Patient/")
    settings: DicomSettings = ctx.settings
    value, issuer = text(attributes, "00100020"), text(attributes, "00100021") or settings.default_issuer
    system = settings.issuers.get(issuer, issuer if ":" in issuer else "")
    patient = await _one(ctx, "Patient", f"{system}|{value}") if value and system else None
    return str(patient["id"]) if patient else ""


async def _one(ctx: PluginContext, type_: str, identifier: str) -> Mapping[str, Any] | None:
    try:
        found = [each async for each in ctx.client.each(type_, [("identifier", identifier)])]
    except FhirError:
        return None  # who may not see any is told of nobody
    return found[0] if len(found) == 1 else None
