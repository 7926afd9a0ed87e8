"""The reads of a transaction, checked before anything is written: one that cannot succeed fails the whole."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fhir_server.context import Context
from fhir_server.errors import FhirError, Gone, NotFound
from fhir_server.interactions.entries import located
from fhir_server.interactions.search import parsed
from fhir_server.interactions.transaction.plan import Plan
from fhir_server.interactions.transaction.steps import Step
from fhir_server.interactions.visibility import visible
from fhir_server.model.keys import ResourceKey

_OF_ONE = ("read", "history-instance")


async def check_reads(ctx: Context, steps: Sequence[Step], plan: Plan) -> Plan:
    """Return the plan with what its reads need: that the resources they read exist when it is done.

    Raises:
        FhirError: a read names what will not be there, or a search cannot be read.
    """
    reads = [step for step in steps if step.kind == "read"]
    if not reads or not plan.changes:
        return plan
    written = {change.key: change.method for change in plan.changes}
    needed = []
    for step in reads:
        try:
            needed += await _needs(ctx, step, written)
        except FhirError as error:
            raise located(error, step.entry) from error
    first = plan.changes[0]
    first = replace(first, requires=(*first.requires, *needed))
    return replace(plan, changes=(first, *plan.changes[1:]))


async def _needs(ctx: Context, step: Step, written: Mapping[ResourceKey, str]) -> list[ResourceKey]:
    request = step.request
    if request.interaction.startswith("search"):
        parsed(ctx, request, answered=True)
    if request.interaction not in _OF_ONE:
        return []
    key = request.key
    if request.interaction == "read" and written.get(key) == "DELETE":
        raise Gone(f"{key} is deleted by this transaction", expression="http.url")
    if key in written:
        return []
    current = await ctx.store.read(key)
    if current is None or not await visible(ctx, current):
        raise NotFound(f"there is no {key}", expression="http.url")
    if current.deleted and request.interaction == "read":
        raise Gone(f"{key} was deleted as version {current.version}", expression="http.url")
    return [] if current.deleted else [key]
