"""Answers of nothing take the same time, whether there is nothing or something hidden."""

import asyncio
from time import perf_counter

from fhir_server.context import Context
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.search.query import EVERYTHING

SEARCHES = frozenset(("search-type", "search-system", "search-compartment"))


async def even_out(ctx: Context, request: FhirRequest, began: float) -> None:
    """Wait until `hidden_pause` has passed since `began` (seconds), where something may be hidden from the caller."""
    rest = ctx.settings.hidden_pause / 1_000 - (perf_counter() - began)
    if rest > 0 and _is_restricted(ctx, request):
        await asyncio.sleep(rest)


def found_nothing(response: FhirResponse) -> bool:
    """Tell whether a search found nothing."""
    return len(response.body) == 1 and b'"entry":' not in response.body[0]


def _is_restricted(ctx: Context, request: FhirRequest) -> bool:
    visibility = ctx.restriction.visibility
    if request.type is None:
        return any(node != EVERYTHING for node in visibility.by_type.values())
    return visibility.read.of(request.type) != EVERYTHING
