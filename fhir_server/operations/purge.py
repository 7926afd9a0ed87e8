"""`$purge`: a resource, or its superseded versions, erased beyond recovery."""

from fhir_server.context import Context, Planned
from fhir_server.errors import BadRequest, Forbidden, NotFound
from fhir_server.interactions.legal_holds import keep_versions
from fhir_server.interactions.preconditions import expected_version, reads_current
from fhir_server.interactions.visibility import visible
from fhir_server.interactions.write import commit
from fhir_server.operations.facts import own
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs
from fhir_server.storage.base import Change


async def _run(ctx: Context, call: Call) -> Outputs:
    """Erase, and tell how many versions that the client could know of went.

    Raises:
        Forbidden: the caller is no administrator. Conflict: a legal hold.
        NotFound: there is no such resource, or none that the caller may see.
        Conflict: others refer to it.
    """
    request = call.request
    if not ctx.caller.admin:
        raise Forbidden("$purge is for administrators", expression="http.url")
    if request.vid is not None:
        raise BadRequest("$purge is of a resource, not of one version", expression="http.url")
    current = await ctx.store.read(request.key)
    if current is None or not await visible(ctx, current):
        raise NotFound(f"there is no {request.key}", expression="http.url")
    await keep_versions(ctx, request.key)
    history_only = call.inputs.one("history", False)
    marked = 0 if history_only else await _delete(ctx, call)
    erased = await ctx.store.purge(request.key, history_only=history_only)
    return Outputs([("count", erased - marked)])


async def _delete(ctx: Context, call: Call) -> int:
    """Delete the resource first, so that the store holds it to its referrers and to If-Match in one transaction, and
    definitions that it was part of are known to be gone; return how many versions that made."""
    request = call.request
    keep = ctx.settings.integrity_on_delete and not call.inputs.one("force", False)

    async def plan() -> Planned:
        expected = await expected_version(ctx, request, request.key)
        change = Change(request.key, "DELETE", expected=expected, keep_referenced=keep)
        return Planned((change,), request.key, guessed=reads_current(request))

    _, result = await commit(ctx, plan)
    return sum(each.changed for each in result.written)


purge = CoreOperation(
    facts=own("purge"),
    handler=_run,
    summary="Erase a resource, or its superseded versions, beyond recovery; for administrators.",
)
