"""Operations on studies: `$assign-patient`, `$legal-hold`, `$rebuild`."""

from typing import Any, Final

from dicomweb.doors import settings_of
from dicomweb.fhir.assigning import assign_patient, study_of
from dicomweb.index.collections import STUDIES
from dicomweb.lifecycle.rebuilding import rebuild
from fhir_server.plugin_api import (
    Call,
    Forbidden,
    Operation,
    Outputs,
    PluginContext,
    RecordChange,
    facts_of,
)


def _definition(code: str, name: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "resourceType": "OperationDefinition",
        "url": f"urn:fhir-server:dicomweb:{code}",
        "name": name,
        "status": "active",
        "kind": "operation",
        "code": code,
        "resource": ["ImagingStudy"],
        "system": False,
        "type": False,
        "instance": True,
        "affectsState": True,
        "parameter": parameters,
    }


def _in(name: str, type_: str, least: int = 0) -> dict[str, Any]:
    return {"name": name, "use": "in", "min": least, "max": "1", "type": type_}


_STUDY: Final = {"name": "return", "use": "out", "min": 1, "max": "1", "type": "ImagingStudy"}
ASSIGN: Final = _definition(
    "assign-patient", "AssignPatient", [_in("patient", "Reference", 1), _in("move", "boolean"), _STUDY]
)
HOLD: Final = _definition("legal-hold", "LegalHold", [_in("on", "boolean", 1), _in("reason", "string"), _STUDY])
REBUILD: Final = _definition("rebuild", "Rebuild", [_STUDY])


async def legal_hold(ctx: PluginContext, call: Call) -> Outputs:
    """Keep a study from being deleted by anybody, or end that."""
    _need_update(ctx)
    study = await ctx.client.read("ImagingStudy", str(call.request.id))
    record = await study_of(ctx, str(study["id"]))
    hold = {"reason": str(call.inputs.one("reason", "")), "by": ctx.caller.name, "since": ctx.now()}
    value = {**record.value, "hold": hold if call.inputs.one("on") else None}
    await ctx.store.put(RecordChange(STUDIES.name, record.key, value, record.revision))
    return Outputs([("return", study)])


async def rebuilt(ctx: PluginContext, call: Call) -> Outputs:
    """Write what is derived from the instances of a study anew."""
    _need_update(ctx)
    study = await ctx.client.read("ImagingStudy", str(call.request.id))
    record = await study_of(ctx, str(study["id"]))
    await rebuild(ctx, record.key, settings_of(ctx), as_plugin=False)
    return Outputs([("return", await ctx.client.read("ImagingStudy", str(study["id"])))])


def _need_update(ctx: PluginContext) -> None:
    if not ctx.core.restriction.may("update", "ImagingStudy"):
        raise Forbidden("your access allows no change of ImagingStudy", expression="http.authorization")


OPERATIONS: Final = (
    Operation(facts_of(ASSIGN), assign_patient, "Say whose a study is."),
    Operation(facts_of(HOLD), legal_hold, "Keep a study from being deleted."),
    Operation(facts_of(REBUILD), rebuilt, "Write what is derived from a study anew."),
)
