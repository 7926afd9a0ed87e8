"""`$reindex`: the index rows of current resources made anew, by the search parameters in force."""

from collections.abc import Sequence

from fhir_server.context import Context
from fhir_server.errors import BadValue, Forbidden
from fhir_server.model.exchange import FhirResponse
from fhir_server.model.json import decode_stored
from fhir_server.operations.facts import own
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs
from fhir_server.search.entries import IndexEntries

AT_ONCE = 5_000
"""Resources up to which a call is answered when it is done; more become a job, asked for or not."""


async def _run(ctx: Context, call: Call) -> Outputs | FhirResponse:
    if not ctx.caller.admin:
        raise Forbidden("$reindex is for administrators", expression="http.url")
    types = _types(ctx, call)
    if ctx.jobs is not None and not ctx.in_job and await _size(ctx, types) > AT_ONCE:
        return await ctx.jobs.submit(ctx, call.request)
    began = ctx.now()
    count = await reindexed(ctx, types)
    given = [("type", type_) for type_ in types]
    return Outputs([*given, ("count", count), ("milliseconds", max(0, ctx.now() - began))])


async def reindexed(ctx: Context, types: Sequence[str]) -> int:
    """Make the rows of these types anew (all if there is none); return of how many resources."""
    extractor, base = ctx.extractor, ctx.base

    def extract(type_: str, data: bytes) -> IndexEntries:
        return extractor.extract(type_, decode_stored(data), own_base=base)

    return await ctx.store.reindex(_marked(ctx, types), extract, ctx.progress)


def _marked(ctx: Context, types: Sequence[str]) -> list[str]:
    """Name the parameters in force beside the types.

    A store goes on with a run over the same types that was stopped; its first half was made by other parameters if
    those have changed since. The mark is no type, so nothing is found for it.
    """
    return [*(types or ctx.parameters.types), f"#{ctx.parameters.version}"]


def _types(ctx: Context, call: Call) -> list[str]:
    named = dict.fromkeys(call.inputs.many("type"))
    if call.request.type is not None and not named:
        named = {call.request.type: None}
    for type_ in named:
        if type_ not in ctx.definitions.resource_types:
            raise BadValue(f"type: {type_[:80]!r} is not a resource type", expression="http.type")
        if call.request.type not in (None, type_):
            raise BadValue(f"the URL names {call.request.type}, type names {type_}", expression="http.type")
    return list(named)


async def _size(ctx: Context, types: Sequence[str]) -> int:
    counts = await ctx.store.statistics()
    return sum(count for type_, count in counts.items() if not types or type_ in types)


reindex = CoreOperation(
    facts=own("reindex"),
    handler=_run,
    summary="Make the search index of a type, or of all, anew; large runs are jobs.",
    background=True,
)
