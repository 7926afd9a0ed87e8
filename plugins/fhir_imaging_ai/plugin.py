"""The hooks of the plugin. What models need (numpy, highdicom, onnxruntime) is imported when one first looks."""

import asyncio
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from fhir_imaging_ai.kept import DONE
from fhir_imaging_ai.models.manifest import ModelRefused
from fhir_imaging_ai.settings import ImagingAiSettings
from fhir_server.plugin_api import Collection, Consumer, FeedChange, HealthCheck, Host, PluginContext, hookimpl


@hookimpl
def register_collections() -> list[Collection]:
    """Remember what was looked at."""
    return [DONE]


@hookimpl
def register_consumers(settings: ImagingAiSettings) -> list[Consumer]:
    """Follow the studies, where a model is named."""
    return [Consumer("fhir_imaging_ai.look", _look, types=("ImagingStudy",), batch=5)] if settings.models else []


@hookimpl
def register_health_checks(settings: ImagingAiSettings) -> list[HealthCheck]:
    """Tell whether the models that are named can be used."""
    return [HealthCheck("models", _models)] if settings.models else []


async def _look(ctx: PluginContext, changes: Sequence[FeedChange]) -> None:
    await (await _arriving()).look(ctx, changes)


async def _arriving() -> Any:
    return await asyncio.to_thread(import_module, "fhir_imaging_ai.arriving")


async def _models(host: Host) -> str | None:
    arriving = await _arriving()
    for name in host.settings.models:
        try:
            await asyncio.to_thread(arriving.runner, host, name)
        except ModelRefused as error:
            return str(error)
    return None
