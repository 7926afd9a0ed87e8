"""Machines: the Device and the card of a version in the record, made once by the plugin itself."""

from fhir_ai.models import Model, ModelUnavailable
from fhir_ai.registry.resources import CARD, MODEL, Machine, device_of, document_of, value_of
from fhir_server.plugin_api import PluginContext


def machine(model: Model) -> Machine:
    """Return who a version of a model is, without looking into the record."""
    return Machine("", "", model.manifest.name, model.manifest.version)


async def machine_of(ctx: PluginContext, model: Model) -> Machine:
    """Return who a version of a model is, its Device and card in the record; they are made where they are not there."""
    value = value_of(model.manifest.name, model.manifest.version)
    device = await ctx.own.create(device_of(model), if_none_exist=f"identifier={MODEL}|{value}")
    place = f"Device/{device['id']}"
    try:
        document = document_of(model, place, ctx.now())
    except ModelUnavailable:  # a prediction without its card is still a prediction
        return Machine(place, "", model.manifest.name, model.manifest.version)
    card = await ctx.own.create(document, if_none_exist=f"identifier={CARD}|{value}")
    return Machine(place, f"DocumentReference/{card['id']}", model.manifest.name, model.manifest.version)
