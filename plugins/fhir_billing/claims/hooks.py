"""What claims add to the hooks of the plugin."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Final

from fhir_billing.claims import operations as on
from fhir_billing.claims.desk import desk_of
from fhir_billing.claims.exchange import step, work
from fhir_billing.claims.incoming import ROUTES
from fhir_billing.claims.records import COLLECTIONS
from fhir_billing.coverage.eligibility import check_eligibility
from fhir_billing.payers.nhs import report
from fhir_server.plugin_api import (
    Consumer,
    FeedChange,
    Operation,
    OperationFacts,
    PluginContext,
    Scheduled,
    decode,
    facts_of,
    r4_operation,
)

__all__ = ["COLLECTIONS", "CONSUMERS", "ROUTES", "SCHEDULED", "operations"]


def operations() -> tuple[Operation, ...]:
    """Return the operations on claims and coverages."""
    return (
        Operation(r4_operation("Claim-submit"), on.submit, "Submit a claim; the answer explains each line."),
        Operation(
            r4_operation("CoverageEligibilityRequest-submit"),
            check_eligibility,
            "What a coverage is good for, and what is left.",
        ),
        Operation(_own("claim-estimate"), on.estimate, "What the patient would pay."),
        Operation(_own("claim-inquire"), on.inquire, "Where claims stand."),
        Operation(_own("claim-follow-up"), on.follow_up, "Ask payers now about the claims that are due."),
        Operation(_own("claim-activity-report"), report, "What was done and priced, as CSV."),
        Operation(_own("claim-cancel"), on.cancel, "Take a claim back."),
        Operation(_own("claim-decide"), on.decide, "Decide a claim that waits for a person."),
    )


def _own(name: str) -> OperationFacts:
    return facts_of(decode(files("fhir_billing.claims.definitions").joinpath(f"{name}.json").read_bytes()))


async def _send(ctx: PluginContext, changes: Sequence[FeedChange]) -> None:
    """Take the first step of claims that were queued just now."""
    desk = desk_of(ctx)
    if desk.payers:
        for change in changes:
            await step(ctx, desk, change.key.id)


async def _work(ctx: PluginContext) -> None:
    """Ask payers about claims that are due."""
    desk = desk_of(ctx)
    if desk.payers:
        await work(ctx, desk)


CONSUMERS: Final = (
    Consumer("claims", _send, types=("Claim",), partitions=4, start="beginning", batch=20, timeout=900),
)
SCHEDULED: Final = (Scheduled("claims", _work, every=15, each_tenant=True),)
