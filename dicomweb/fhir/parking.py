"""Studies of nobody: a Task asks a person whose they are; `$assign-patient` answers it."""

from typing import TYPE_CHECKING, Any

from dicomweb.index.collections import STUDIES
from fhir_server.plugin_api import FhirError, PluginContext

if TYPE_CHECKING:
    from dicomweb.settings import DicomSettings

SYSTEM = "urn:fhir-server:dicomweb:unmatched"


async def park(ctx: PluginContext, study: str, settings: "DicomSettings") -> None:
    """Ask for the patient of a study without one, once. What fails is done again at the next object of the study."""
    record = await ctx.store.get(STUDIES.name, study)
    if record is None or record.value.get("patient"):
        return
    try:
        await ctx.own.create(
            task(study, str(record.value.get("imaging_study")), str(record.value.get("why") or "")),
            if_none_exist=f"identifier={SYSTEM}|{study}",
        )
    except FhirError:
        return


def task(study: str, imaging_study: str, why: str) -> dict[str, Any]:
    """Return the Task."""
    return {
        "resourceType": "Task",
        "identifier": [{"system": SYSTEM, "value": study}],
        "status": "requested",
        "intent": "order",
        "code": {"text": "Find the patient of an imaging study"},
        "description": "Call $assign-patient on the ImagingStudy with the Patient that it belongs to.",
        "focus": {"reference": f"ImagingStudy/{imaging_study}"},
        "statusReason": {"text": why or "the patient is not known"},
    }


async def forget_question(ctx: PluginContext, study: str) -> None:
    """Delete the Task about a study that goes."""
    async for task in ctx.own.each("Task", {"identifier": f"{SYSTEM}|{study}"}):
        await ctx.own.delete("Task", str(task["id"]))
