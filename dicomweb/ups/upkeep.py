"""Upkeep: workitems that are over go after their time, unless somebody holds them; their Tasks stay."""

from typing import Final

from dicomweb.ups.store import WORKITEMS, of_record
from dicomweb.ups.subscriptions import forget_workitem, is_locked
from fhir_server.plugin_api import PluginContext, RecordChange, Scheduled, Where

_DAY: Final = 86_400_000
_PAGE: Final = 200
_HOUR: Final = 3_600


async def sweep(ctx: PluginContext) -> None:
    """Remove workitems that have been over for longer than they are kept."""
    if not ctx.settings.ups_kept_days:
        return
    before = ctx.now() - ctx.settings.ups_kept_days * _DAY
    where = [Where("over", ">", 0), Where("over", "<=", before)]
    after = None
    while page := await ctx.store.find(WORKITEMS.name, where, after=after, limit=_PAGE):
        for item in map(of_record, page):
            if not await is_locked(ctx, item.uid):
                await forget_workitem(ctx, item.uid)
                await ctx.store.put(RecordChange(WORKITEMS.name, item.uid, None, item.revision))
        after = page[-1].key


SCHEDULED: Final = Scheduled("dicomweb.workitems", sweep, every=_HOUR, each_tenant=True)
