"""Operations on studies: `$legal-hold`, `$rebuild`; `$assign-patient` is in assigning.py."""

from dicomweb.doors import settings_of
from dicomweb.fhir.assigning import study_of
from dicomweb.index.collections import STUDIES
from dicomweb.lifecycle.rebuilding import rebuild
from fhir_server.plugin_api import Call, Forbidden, Outputs, PluginContext, RecordChange


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
