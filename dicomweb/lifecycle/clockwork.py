"""What is done now and then: studies without their ImagingStudy get it, sums of the audit are recorded."""

import asyncio
import logging
from typing import Final, cast

from dicomweb.authority.studies import StudyAuthority
from dicomweb.doors import authority, settings_of
from dicomweb.index.collections import PENDING
from dicomweb.lazily import later
from fhir_server.plugin_api import FhirError, Host, PluginContext, StoreError, Where

_log = logging.getLogger("dicomweb")
_PAGE: Final = 100


async def finish(ctx: PluginContext) -> None:
    """Write the ImagingStudies of studies that have been quiet, whoever began them."""
    settings = settings_of(ctx)
    limit = ctx.now() - settings.quiet * 1000
    found = await ctx.store.find(PENDING.name, [Where("at", "<=", limit)], order="at", limit=_PAGE)
    if not found:
        return
    rebuild = later("dicomweb.lifecycle.rebuilding:rebuild")
    for record in found:
        try:
            await rebuild(ctx, record.key, settings)
        except (FhirError, StoreError) as error:
            _log.warning("the ImagingStudy of a study could not be written yet: %s", type(error).__name__)


async def sum_up(ctx: PluginContext) -> None:
    """Record what processes that died left open."""
    await cast("StudyAuthority", authority(ctx)).sums.recover(ctx)


async def started(host: Host) -> None:
    """Watch over what this process began: studies that nobody finishes, sums whose time is over."""
    sums = cast("StudyAuthority", authority(host)).sums
    tenants: set[str] = host.shared.setdefault("touched", set())
    tenants.add("default")  # a process that was killed may have left some

    async def watch() -> None:
        while True:
            await asyncio.sleep(1)
            try:
                await sums.close_over()
                for tenant in tuple(tenants):
                    await _finish_touched(host, tenant, tenants)
            except Exception as error:  # what failed is tried again in a second, and by `finish`
                _log.warning("work beside requests failed: %s", type(error).__name__)

    host.shared["watch"] = asyncio.create_task(watch())


async def _finish_touched(host: Host, tenant: str, tenants: set[str]) -> None:
    ctx = await host.context(tenant)
    await finish(ctx)
    if not await ctx.store.find(PENDING.name, limit=1):
        tenants.discard(tenant)


async def stopped(host: Host) -> None:
    """Record what is open."""
    task = host.shared.pop("watch", None)
    if task is not None:
        task.cancel()
    await cast("StudyAuthority", authority(host)).sums.close()
