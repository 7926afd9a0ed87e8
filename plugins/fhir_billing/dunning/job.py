"""The work of the clock: periods that begin are billed, what is not paid is dunned."""

from typing import Final

from fhir_billing.dunning.reminders import remind
from fhir_billing.dunning.subscriptions import bill_due
from fhir_server.plugin_api import PluginContext, Scheduled


async def run(ctx: PluginContext) -> None:
    """Do what is due in one tenant."""
    await remind(ctx)
    await bill_due(ctx)


SCHEDULED: Final = Scheduled("recurring", run, cron="17 * * * *", each_tenant=True)
