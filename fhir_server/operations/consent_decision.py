"""`$consent-decision`: what the Consents of a patient come to for somebody, and why."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import cast

from fhir_server.auth.consent import Directive, Provision
from fhir_server.auth.consents import Consents, acting, purposes_of
from fhir_server.auth.desk import Desk
from fhir_server.auth.gate import Housed, narrowed_to
from fhir_server.auth.limits_of_consent import Bounds
from fhir_server.context import Context
from fhir_server.errors import BadValue, Forbidden, NotFound
from fhir_server.interactions.visibility import holds, visible
from fhir_server.model.keys import ResourceKey, is_id
from fhir_server.operations.facts import own
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs, Pairs
from fhir_server.search.query import EVERYTHING, NOTHING

_SAID = {
    "permit": "the Consents permit it",
    "deny": "the Consents deny it",
    "depends": "the Consents permit some resources of this type and deny others",
}


async def _run(ctx: Context, call: Call) -> Outputs:
    """Decide and explain.

    Raises:
        NotFound: there is no such patient or resource, or none that the caller may see.
        Forbidden: somebody else is named as actor by who is neither administrator nor the patient.
    """
    key = call.request.key
    own_record = ctx.caller.admin or ctx.caller.subject == str(key)
    await _must_see(ctx, key, own_record)
    actor, purpose = call.inputs.one("actor", ctx.caller.subject), call.inputs.one("purpose")
    if actor != ctx.caller.subject and not own_record:
        raise Forbidden("only administrators and the patient may ask for others", expression="http.actor")
    desk = Desk(ctx.store, ctx.settings, ctx.base, ctx.base, ctx.now)
    narrow = partial(narrowed_to, cast(Housed, ctx), ctx.settings, ctx.now)  # it reads parameters and terminology alone
    consents = Consents(ctx.definitions, narrow)
    await consents.refresh(desk)
    purposes = frozenset((purpose,)) if purpose else purposes_of(ctx.settings, ctx.caller.roles)
    bounds = consents.bounds(desk, await acting(desk, actor, purposes))
    target = _target(ctx, call)
    if target is not None:
        await _must_see(ctx, target, own_record)
    type_ = target.type if target else call.inputs.one("type", "Patient")
    decision = await _decided(ctx, bounds, key.id, type_, target)
    found = consents.of(key.id)
    reason = _SAID[decision] if found else f"there is no Consent: the setting is {ctx.settings.consent_default}"
    listed = [("consent", _explained(bounds, directive, type_)) for directive in found]
    return Outputs([("decision", decision), ("reason", reason), *listed])


async def _must_see(ctx: Context, key: ResourceKey, own_record: bool) -> None:
    version = await ctx.store.read(key)
    if version is None or version.deleted or not (own_record or await visible(ctx, version)):
        raise NotFound(f"there is no {key}", expression="http.url")


def _target(ctx: Context, call: Call) -> ResourceKey | None:
    text = call.inputs.one("resource")
    type_, _, id_ = str(text or "").partition("/")
    if text is not None and (type_ not in ctx.definitions.resource_types or not is_id(id_)):
        raise BadValue(f"resource={text[:100]} is no resource: Observation/1", expression="http.resource")
    asked = call.inputs.one("type")
    if asked is not None and asked not in ctx.definitions.resource_types:
        raise BadValue(f"type={asked[:100]} is no resource type", expression="http.type")
    return ResourceKey(type_, id_) if text is not None else None


async def _decided(ctx: Context, bounds: Bounds, patient: str, type_: str, target: ResourceKey | None) -> str:
    if target is not None or type_ == "Patient":
        version = await ctx.store.read(target or ResourceKey("Patient", patient))
        seen = version is not None and await holds(ctx, bounds.of(type_), version)
        return "permit" if seen else "deny"
    refused = bounds.refused(patient, type_)
    return "deny" if refused == EVERYTHING else "permit" if refused == NOTHING else "depends"


def _explained(bounds: Bounds, directive: Directive, type_: str) -> Pairs:
    base = "permit" if directive.permit else "deny"
    fault = [("fault", directive.fault)] if directive.fault else []
    return [
        ("reference", f"Consent/{directive.id}"),
        ("base", base),
        *fault,
        *(("exception", text) for text in _told(bounds, directive.exceptions, type_, "provision")),
    ]


def _told(bounds: Bounds, provisions: Iterable[Provision], type_: str, place: str) -> Iterator[str]:
    for number, provision in enumerate(provisions):
        here = f"{place}[{number}]"
        node = bounds.conditions(provision, type_)
        about = "does not apply" if node == NOTHING else "applies" if node == EVERYTHING else "applies to some"
        yield f"{here}: {'permit' if provision.permit else 'deny'}; it {about}"
        yield from _told(bounds, provision.inner, type_, f"{here}.provision")


consent_decision = CoreOperation(
    facts=own("consent-decision"),
    handler=_run,
    summary="What the Consents of a patient come to for somebody, and why.",
)
