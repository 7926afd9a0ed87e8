"""The hooks of the plugin."""

from collections.abc import Mapping, Sequence
from typing import Any

from fhir_billing import ledger
from fhir_billing.adjudication.command import COMMAND
from fhir_billing.cash.records import COLLECTIONS as CASH
from fhir_billing.charging.capture import CONSUMER
from fhir_billing.charging.definitions import CODE_PARAMETER
from fhir_billing.claims import hooks as claims
from fhir_billing.dunning.job import SCHEDULED
from fhir_billing.dunning.subscriptions import SUBSCRIPTIONS
from fhir_billing.ledger import guard
from fhir_billing.operations import exchange, invoice, pay, reconcile, refund, shifts, statement, subscribe
from fhir_billing.operations import ledger as ledger_operation
from fhir_billing.payments.background import scheduled
from fhir_billing.payments.records import COLLECTIONS as PAYMENTS
from fhir_billing.payments.webhooks import ROUTES
from fhir_billing.reconciliation.lines import COLLECTIONS as STATEMENTS
from fhir_billing.settings import BillingSettings
from fhir_server.plugin_api import Collection, Command, Consumer, Operation, Route, Scheduled, WriteCheck, hookimpl


@hookimpl
def register_collections() -> Sequence[Collection]:
    """Keep the books."""
    return (*ledger.COLLECTIONS, *PAYMENTS, *CASH, *STATEMENTS, SUBSCRIPTIONS, *claims.COLLECTIONS)


@hookimpl
def register_write_checks() -> Sequence[WriteCheck]:
    """Guard the documents of the ledger."""
    return (*guard.CHECKS,)


@hookimpl
def register_operations() -> Sequence[Operation]:
    """Add the operations."""
    return (
        exchange.OPERATION,
        invoice.OPERATION,
        ledger_operation.OPERATION,
        pay.OPERATION,
        reconcile.OPERATION,
        refund.OPERATION,
        *shifts.OPERATIONS,
        *statement.OPERATIONS,
        *subscribe.OPERATIONS,
        *claims.operations(),
    )


@hookimpl
def register_search_parameters() -> Sequence[Mapping[str, Any]]:
    """Have prices found by what they are for."""
    return (CODE_PARAMETER,)


@hookimpl
def register_consumers() -> Sequence[Consumer]:
    """Charge what is done."""
    return (CONSUMER, *claims.CONSUMERS)


@hookimpl
def register_routes() -> Sequence[Route]:
    """Take in webhooks."""
    return (*ROUTES, *claims.ROUTES)


@hookimpl
def register_scheduled_jobs(settings: BillingSettings) -> Sequence[Scheduled]:
    """Go on with payments."""
    return (scheduled(settings), SCHEDULED, *claims.SCHEDULED)


@hookimpl
def register_commands() -> Sequence[Command]:
    """Check tables of rules."""
    return (COMMAND,)
