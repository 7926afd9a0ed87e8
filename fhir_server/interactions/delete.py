"""The FHIR delete interaction: by id, and by condition one or several."""

from fhir_server.context import Context, Planned
from fhir_server.errors import BadRequest, Forbidden, MethodNotAllowed, MultipleMatches, PreconditionFailed
from fhir_server.interactions.conditional import find
from fhir_server.interactions.outcome import success
from fhir_server.interactions.preconditions import expected_version, if_match, reads_current
from fhir_server.interactions.visibility import hidden, visible
from fhir_server.interactions.write import commit
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.storage.base import Change, Written


async def delete(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Answer `DELETE [base]/Patient/123` and `DELETE [base]/Patient?identifier=...`.

    Deleting what is deleted or never existed is no fault: it is gone, as asked.

    Spec: https://hl7.org/fhir/R4/http.html#delete, https://hl7.org/fhir/R4/http.html#3.1.0.7.1

    Raises:
        Conflict: other resources refer to it.
        PreconditionFailed: If-Match does not hold.
        MultipleMatches: more match than may be deleted at once.
    """
    _, result = await commit(ctx, lambda: plan_delete(ctx, request))
    return answer(request, result.written)


def answer(request: FhirRequest, written: tuple[Written, ...]) -> FhirResponse:
    """Answer 204, or 200 with an outcome where the client prefers one."""
    gone = [each.version for each in written if each.changed and each.version is not None]
    version = gone[0] if len(gone) == 1 else None
    if request.preference("return") != "OperationOutcome":
        return FhirResponse(204, (), version)
    said = f"deleted {', '.join(str(each.key) for each in gone)}" if gone else "there was nothing to delete"
    return FhirResponse(200, (success(said, [issue for each in written for issue in each.issues]),), version)


async def plan_delete(ctx: Context, request: FhirRequest) -> Planned:
    """Plan a delete, by id or by condition."""
    if request.id is None:
        return await _plan_conditional(ctx, request)
    if await hidden(ctx, request.key, "d"):
        return await _plan_unknown(ctx, request)
    expected = await expected_version(ctx, request, request.key)
    change = Change(
        request.key, "DELETE", expected=expected, keep_referenced=ctx.settings.integrity_on_delete
    )  # fmt: skip
    return Planned((change,), request.key, guessed=reads_current(request))


async def _plan_unknown(ctx: Context, request: FhirRequest) -> Planned:
    """Plan nothing, as for what never existed.

    Raises:
        Forbidden: the caller may see it, but not delete it.
        PreconditionFailed: If-Match does not hold of nothing.
    """
    current = await ctx.store.read(request.key)
    if current is not None and not current.deleted and await visible(ctx, current):
        raise Forbidden(f"{request.key} cannot be deleted", expression="http.url")
    if if_match(request) is not None:
        raise PreconditionFailed(f"{request.key} does not exist", expression="http.if-match")
    return Planned((), None)


async def _plan_conditional(ctx: Context, request: FhirRequest) -> Planned:
    mode = ctx.settings.conditional_delete
    if mode == "none":
        raise MethodNotAllowed("this server does not delete by condition")
    if request.type is None:
        raise BadRequest("a conditional delete names a resource type", expression="http.url")
    most = ctx.settings.max_delete if mode == "multiple" else 1
    matches = await find(ctx, request.type, request.query, most + 1)
    if len(matches.versions) > most:
        raise MultipleMatches(
            f"the condition matches more than {most} {request.type}; a delete takes at most {most}",
            expression="http.url",
        )
    changes = [
        Change(
            version.key, "DELETE",
            conditions=() if number else (matches.condition,),
            keep_referenced=ctx.settings.integrity_on_delete,
        )
        for number, version in enumerate(matches.versions)
    ]  # fmt: skip
    key = matches.versions[0].key if len(changes) == 1 else None
    return Planned(tuple(changes), key, (matches.condition,))
