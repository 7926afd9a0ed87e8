"""The FHIR update interaction: by id (which may create) and by condition."""

from fhir_server.context import Context, Planned
from fhir_server.errors import BadRequest, Conflict, Forbidden, MethodNotAllowed, MultipleMatches, PreconditionFailed
from fhir_server.interactions import binary
from fhir_server.interactions.conditional import Find, Matches, find
from fhir_server.interactions.findings import Wishes
from fhir_server.interactions.preconditions import expected_version, if_match, reads_current
from fhir_server.interactions.prepare import minified, parse, prepare
from fhir_server.interactions.targets import Target
from fhir_server.interactions.visibility import hidden
from fhir_server.interactions.write import write
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.keys import ResourceKey, is_id

_ANY_DEPTH = 1_000  # the real limit is held when the resource is prepared


async def update(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Answer `PUT [base]/Patient/123` and `PUT [base]/Patient?identifier=...`.

    Spec: https://hl7.org/fhir/R4/http.html#update, https://hl7.org/fhir/R4/http.html#cond-update

    Raises:
        BadRequest: broken JSON, another type or id than the URL names.
        InvalidResource: it breaks rules of FHIR.
        MethodNotAllowed: it does not exist, and clients may not choose ids.
        PreconditionFailed: If-Match or If-None-Match does not hold.
        MultipleMatches: several resources match the condition.
    """
    return await write(ctx, request, plan_update)


async def plan_update(ctx: Context, request: FhirRequest) -> Planned:
    """Plan an update, by id or by condition."""
    target = await settle_update(ctx, request)
    body = binary.as_resource(request, target.key)
    prepared = await prepare(ctx, body, target.key, same_id=request.id is not None, wishes=Wishes.of(request))
    return Planned((target.change("PUT", prepared),), target.key, guessed=target.guessed, issues=prepared.issues)


async def settle_update(ctx: Context, request: FhirRequest, find: Find = find) -> Target:
    """Settle which resource an update is about and at which version it has to be."""
    if request.id is None:
        return await _settle_conditional(ctx, request, find)
    key = request.key
    await _check_id(ctx, key)
    return Target(key, await expected_version(ctx, request, key), guessed=reads_current(request))


async def _settle_conditional(ctx: Context, request: FhirRequest, find: Find) -> Target:
    """No match: it is created, with the id of the body if that is free; one match: it is updated, unless the body has
    another id; several: refused."""
    matches = await find(ctx, request.type or "", request.query)
    if len(matches.versions) > 1:
        raise MultipleMatches(f"the condition matches several {request.type}", expression="http.url")
    id_ = _id_of(request)
    if not matches.versions:
        return await _settle_new(ctx, request, matches, id_)
    key = matches.versions[0].key
    if id_ is not None and id_ != key.id:
        raise BadRequest(f"the condition finds {key}, but the body has the id {id_!r}", expression=f"{key.type}.id")
    expected = await expected_version(ctx, request, key)
    return Target(key, expected, (matches.condition,), guessed=reads_current(request))


async def _settle_new(ctx: Context, request: FhirRequest, matches: Matches, id_: str | None) -> Target:
    key = ResourceKey(request.type or "", id_ or ctx.new_id())
    if if_match(request) is not None:
        raise PreconditionFailed("If-Match: the condition finds nothing", expression="http.if-match")
    if id_ is not None:
        await _check_id(ctx, key)
        current = await ctx.store.read(key)
        if current is not None and not current.deleted:
            raise Conflict(f"the condition finds nothing, but {key} exists", expression=f"{key.type}.id")
    return Target(key, 0, (matches.condition,))


async def _check_id(ctx: Context, key: ResourceKey) -> None:
    """Hold an id that the client chose to the form of an id, and to what the server allows."""
    if not is_id(key.id):
        raise BadRequest(f"{key.id[:100]!r} is not an id: 1 to 64 of A-Z a-z 0-9 - .", expression=f"{key.type}.id")
    if await hidden(ctx, key):
        raise Forbidden(f"{key} cannot be written", expression="http.url")
    if not ctx.settings.update_create and await ctx.store.read(key) is None:
        raise MethodNotAllowed(f"there is no {key}, and this server chooses the ids of new resources")


def _id_of(request: FhirRequest) -> str | None:
    id_ = parse(minified(request.body), _ANY_DEPTH).get("id")
    return id_ if isinstance(id_, str) else None
