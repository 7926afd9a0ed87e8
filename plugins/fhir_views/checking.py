"""A view that is stored can be run: each is compiled before it is written."""

from fhir_server.plugin_api import Finding, PluginContext, Verdict, Write, WriteCheck, model_of
from fhir_views.engine import ViewError, compile_view


async def check(ctx: PluginContext, write: Write) -> Verdict | None:
    """Refuse a view that is wrong, with every place; warn of names that the types do not have."""
    if write.resource is None:
        return None
    try:
        view = compile_view(write.resource, model=model_of(ctx.core.definitions), limits=ctx.settings.limits)
    except ViewError as error:
        return Verdict([Finding(fault.message, fault.place, code="invalid") for fault in error.faults])
    return Verdict([Finding(each.message, each.place, "warning", "invalid") for each in view.warnings])


CHECK = WriteCheck(check, ("ViewDefinition",))
