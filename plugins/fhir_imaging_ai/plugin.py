"""The hooks of the plugin."""

from fhir_imaging_ai.arriving import DONE, look, runner
from fhir_imaging_ai.models.manifest import ModelRefused
from fhir_imaging_ai.settings import ImagingAiSettings
from fhir_server.plugin_api import Collection, Consumer, HealthCheck, Host, hookimpl


@hookimpl
def register_collections() -> list[Collection]:
    """Remember what was looked at."""
    return [DONE]


@hookimpl
def register_consumers(settings: ImagingAiSettings) -> list[Consumer]:
    """Follow the studies, where a model is named."""
    return [Consumer("fhir_imaging_ai.look", look, types=("ImagingStudy",), batch=5)] if settings.models else []


@hookimpl
def register_health_checks(settings: ImagingAiSettings) -> list[HealthCheck]:
    """Tell whether the models that are named can be used."""
    return [HealthCheck("models", _models)] if settings.models else []


async def _models(host: Host) -> str | None:
    for name in host.settings.models:
        try:
            runner(host, name)
        except ModelRefused as error:
            return str(error)
    return None
