"""The hooks of the plugin."""

from collections.abc import Sequence

from fhir_audit.breaches.cases import ALERTS
from fhir_audit.breaches.delivery import deliver
from fhir_audit.breaches.watch import WATCH, Watch
from fhir_audit.disclosures.operation import operation
from fhir_audit.settings import AuditSettings
from fhir_audit.sinks.archive import Archive
from fhir_audit.sinks.s3 import S3Archive
from fhir_audit.sinks.siem import Siem
from fhir_server.plugin_api import AuditSink, Collection, FhirError, Operation, PluginContext, Scheduled, hookimpl


class Unfinished(Exception):
    """What was found could not be written; the next look begins there."""


@hookimpl
def register_collections() -> Sequence[Collection]:
    """Add where the watch stands, and the alerts that it raised."""
    return (WATCH, ALERTS)


@hookimpl
def register_audit_sinks(settings: AuditSettings) -> Sequence[AuditSink]:
    """Add the places that are set."""
    sinks: list[AuditSink] = []
    if settings.archive is not None:
        sinks.append(Archive(settings.archive))
    if settings.s3:
        sinks.append(S3Archive(settings))
    if settings.siem:
        sinks.append(Siem(settings.siem, settings.siem_ca))
    return sinks


@hookimpl
def register_operations() -> Sequence[Operation]:
    """Add `$accounting-of-disclosures`."""
    return (operation(),)


@hookimpl
def register_scheduled_jobs(settings: AuditSettings) -> Sequence[Scheduled]:
    """Look at what is new in the audit of each tenant, and tell of what was found."""
    watches: dict[str, Watch] = {}

    async def look(ctx: PluginContext) -> None:
        watch = watches.get(ctx.tenant)
        if watch is None:
            watch = watches[ctx.tenant] = Watch(settings, ctx.core.settings.default_timezone)
        try:
            await watch.look(ctx)
        except FhirError as error:
            raise Unfinished(f"what was found cannot be written: {error}") from error
        await deliver(ctx, settings)

    return (Scheduled("breaches", look, every=settings.look_every, each_tenant=True, written_only=True),)
