"""What goes on beside requests: events of webhooks, questions about payments and refunds; after a crash they go on."""

import logging

from fhir_billing.payments.refunds import ask_refunds
from fhir_billing.payments.settling import ask_due
from fhir_billing.payments.webhooks import ring
from fhir_billing.settings import BillingSettings
from fhir_server.plugin_api import FhirError, PluginContext, Scheduled

logger = logging.getLogger(__name__)


async def once(ctx: PluginContext) -> None:
    """Do what is to be done in one tenant now. What fails is noted and done again."""
    ring(ctx)
    for work in (ask_due, ask_refunds):
        try:
            await work(ctx)
        except FhirError as error:
            logger.warning("%s: %s", work.__name__, type(error).__name__)


def scheduled(settings: BillingSettings) -> Scheduled:
    """Return the work as that of a clock, in each tenant."""
    return Scheduled("payments", once, every=settings.poll, each_tenant=True)
