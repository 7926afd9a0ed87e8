"""Overrides: how often clinicians overrode what a model said, by their answers to cards and tasks."""

import importlib

from fhir_server.plugin_api import PluginContext


async def overridden(ctx: PluginContext, model: str, since: int) -> tuple[int, float] | None:
    """Return how many answers of clinicians there are since a time, and the share that overrode the model."""
    try:
        overrides = importlib.import_module("fhir_ai.cds.overrides").overrides
    except ModuleNotFoundError:
        return None
    found = await overrides(ctx, since=since, name=model)
    if not found:
        return None
    return len(found), sum(each.outcome == "overridden" for each in found) / len(found)
