"""The hooks of the plugin."""

from collections.abc import Sequence

from fhir_audit.breaches.cases import ALERTS
from fhir_audit.breaches.delivery import deliver
from fhir_audit.breaches.watch import WATCH, Watch
from fhir_audit.disclosures.operation import operation
from fhir_audit.settings import AuditSettings
from fhir_server.plugin_api import Collection, Operation, PluginContext, Scheduled, hookimpl


@hookimpl
def register_collections() -> Sequence[Collection]:
    """Add where the watch stands, and the alerts that it raised."""
    return (WATCH, ALERTS)


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
        await watch.look(ctx)
        await deliver(ctx, settings)

    return (Scheduled("breaches", look, every=settings.look_every, each_tenant=True, written_only=True),)
