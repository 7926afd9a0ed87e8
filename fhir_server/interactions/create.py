"""The FHIR create interaction, also on the condition that nothing matches."""

from fhir_server.context import Context, Planned
from fhir_server.errors import MultipleMatches
from fhir_server.interactions import binary
from fhir_server.interactions.conditional import Find, find, header_criteria
from fhir_server.interactions.findings import Wishes
from fhir_server.interactions.prepare import prepare
from fhir_server.interactions.targets import Target
from fhir_server.interactions.write import write
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.keys import ResourceKey


async def create(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Answer `POST [base]/Patient`, with `If-None-Exist` too.

    Spec: https://hl7.org/fhir/R4/http.html#create, https://hl7.org/fhir/R4/http.html#ccreate

    Raises:
        BadRequest: broken JSON, or another type than the URL names.
        InvalidResource: it breaks rules of FHIR.
        MultipleMatches: several resources match the condition.
    """
    return await write(ctx, request, plan_create)


async def plan_create(ctx: Context, request: FhirRequest) -> Planned:
    """Plan a create under a new id."""
    target = await settle_create(ctx, request)
    if target.answers:
        return Planned((), target.key, target.conditions, target.found)
    prepared = await prepare(ctx, binary.as_resource(request), target.key, wishes=Wishes.of(request))
    return Planned((target.change("POST", prepared),), target.key, issues=prepared.issues)


async def settle_create(ctx: Context, request: FhirRequest, find: Find = find) -> Target:
    """Settle the condition: no match creates, one match is the answer, several are an error."""
    type_ = request.type or ""
    criteria = header_criteria(request)
    if criteria is None:
        return new_target(ctx, request)
    matches = await find(ctx, type_, criteria)
    if len(matches.versions) > 1:
        raise MultipleMatches(f"If-None-Exist matches several {type_}", expression="http.if-none-exist")
    if matches.versions:
        version = matches.versions[0]
        return Target(version.key, conditions=(matches.condition,), found=version, answers=True)
    return Target(ResourceKey(type_, ctx.new_id()), 0, (matches.condition,))


def new_target(ctx: Context, request: FhirRequest) -> Target:
    """Return the target of a create without a condition."""
    return Target(ResourceKey(request.type or "", ctx.new_id()), 0)
