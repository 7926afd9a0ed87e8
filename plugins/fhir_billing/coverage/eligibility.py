"""`CoverageEligibilityRequest/$submit`: whether a coverage is in force, what its plan covers, and what is left of it.

Spec: https://hl7.org/fhir/R4/coverageeligibilityrequest-operation-submit.html
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from fhir_billing.adjudication.facts import Line
from fhir_billing.adjudication.library import NoPlan
from fhir_billing.adjudication.matching import Compiled
from fhir_billing.adjudication.plan import Benefit
from fhir_billing.adjudication.tallies import FAMILY, period_of, year_of
from fhir_billing.claims.desk import Desk, desk_of
from fhir_billing.claims.gathering import today
from fhir_billing.claims.intake import codes_of
from fhir_billing.claims.response import money
from fhir_billing.claims.standing import read
from fhir_billing.claims.writing import put
from fhir_billing.coverage.cover import Cover, cover_of, day_of
from fhir_billing.payers.payer import Unclear
from fhir_server.plugin_api import (
    BadRequest,
    Busy,
    Call,
    Forbidden,
    InvalidResource,
    Issue,
    NotFound,
    Outputs,
    PluginContext,
    ResourceKey,
    instant,
)

_TYPE = "http://terminology.hl7.org/CodeSystem/benefit-type"
_TERM = "http://terminology.hl7.org/CodeSystem/benefit-term"
_NETWORK = "http://terminology.hl7.org/CodeSystem/benefit-network"
_UNIT = "http://terminology.hl7.org/CodeSystem/benefit-unit"


@dataclass(frozen=True, slots=True)
class _Asked:
    """One coverage that is asked about."""

    desk: Desk
    cover: Cover
    compiled: Compiled
    used: Mapping[str, Decimal]
    day: date


async def check_eligibility(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call; the request and its answer are stored.

    Raises:
        InvalidResource: the request names no coverage of its patient. Busy: the payer gives no answer now.
    """
    request = call.inputs.one("resource")
    if request.get("resourceType") != "CoverageEligibilityRequest":
        raise BadRequest("a CoverageEligibilityRequest", expression="resource")
    if not ctx.core.restriction.may("create", "CoverageEligibilityRequest"):
        raise Forbidden("the token does not allow to ask: it needs CoverageEligibilityRequest.c")
    covers = await _covers(ctx, request)
    stored = {**request, "id": ctx.new_id()}
    answer = await _answer(ctx, stored, covers)
    versions = await ctx.own.put_all([put(stored, trusted=False), put(answer)])
    return Outputs([("return", versions[-1].stamped())])


async def _covers(ctx: PluginContext, request: Mapping[str, Any]) -> list[Cover]:
    """Return the coverages that are asked about. Raises InvalidResource."""
    patient = str(request.get("patient", {}).get("reference", "")).rpartition("Patient/")[2]
    found = []
    for number, each in enumerate(request.get("insurance", ())):
        place = f"CoverageEligibilityRequest.insurance[{number}].coverage"
        id_ = str(each.get("coverage", {}).get("reference", "")).rpartition("Coverage/")[2]
        resource = await _read(ctx, id_, place)
        cover = cover_of({**resource, "status": "active"}, place)
        if cover.patient != patient:
            raise _unfit("the coverage is another patient's", place)
        found.append(replace(cover, resource=resource))
    if not found:
        raise _unfit("the request names no coverage", "CoverageEligibilityRequest.insurance")
    return found


async def _read(ctx: PluginContext, id_: str, place: str) -> dict[str, Any]:
    try:
        return await ctx.client.read("Coverage", id_)
    except NotFound:
        raise _unfit("there is no such Coverage that you may see", place) from None


async def _answer(ctx: PluginContext, request: Mapping[str, Any], covers: list[Cover]) -> dict[str, Any]:
    desk = desk_of(ctx)
    payer = desk.payer_of(covers[0], await _identifiers(ctx, covers[0]))
    if payer:
        return await _from_payer(ctx, desk, payer, request, covers)
    insurance = [await _insurance(ctx, desk, request, cover) for cover in covers]
    return {**_head(ctx, request), "outcome": "complete", "insurance": insurance}


async def _identifiers(ctx: PluginContext, cover: Cover) -> tuple[str, ...]:
    if not cover.payor.startswith("Organization/"):
        return ()
    payor = await ctx.own.find("Organization", cover.payor.partition("/")[2])
    return tuple(str(each.get("value", "")) for each in (payor or {}).get("identifier", ()))


async def _from_payer(
    ctx: PluginContext, desk: Desk, payer: str, request: Mapping[str, Any], covers: list[Cover]
) -> dict[str, Any]:
    """Ask the payer, who alone knows; somebody at a desk waits for the answer, so it is asked within the request."""
    patient = await ctx.own.read("Patient", covers[0].patient)
    resources = {f"Patient/{patient['id']}": patient}
    for cover in covers:
        resources[f"Coverage/{cover.id}"] = dict(cover.resource)
        if cover.payor.startswith("Organization/"):
            payor = await ctx.own.find("Organization", cover.payor.partition("/")[2])
            resources |= {cover.payor: payor} if payor else {}
    try:
        found = await desk.payers[payer].eligibility(request, resources)
    except Unclear as error:
        raise Busy(f"the payer {payer} does not answer now: {error}") from error
    kept = {
        name: found[name] for name in ("outcome", "disposition", "insurance", "error", "preAuthRef") if name in found
    }
    insurance = [
        {**each, "coverage": {"reference": f"Coverage/{cover.id}"}}
        for each, cover in zip(kept.get("insurance", ()), covers, strict=False)
    ]
    return {**_head(ctx, request), **kept, **({"insurance": insurance} if insurance else {})}


def _head(ctx: PluginContext, request: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "CoverageEligibilityResponse",
        "id": ctx.new_id(),
        "status": "active",
        "purpose": request["purpose"],
        "patient": request["patient"],
        **({"servicedDate": request["servicedDate"]} if "servicedDate" in request else {}),
        "created": instant(ctx.now()),
        "request": {"reference": str(ResourceKey("CoverageEligibilityRequest", str(request["id"])))},
        "insurer": request["insurer"],
    }


async def _insurance(ctx: PluginContext, desk: Desk, request: Mapping[str, Any], cover: Cover) -> dict[str, Any]:
    text = request.get("servicedDate") or request.get("servicedPeriod", {}).get("start")
    day = day_of(text, today(ctx))
    active = cover.resource.get("status") == "active" and cover.on(day)
    found: dict[str, Any] = {"coverage": {"reference": f"Coverage/{cover.id}"}, "inforce": active}
    if cover.until or cover.since != date.min:
        ends = {"start": cover.since.isoformat()} if cover.since != date.min else {}
        found["benefitPeriod"] = ends | ({"end": cover.until.isoformat()} if cover.until else {})
    try:
        compiled = desk.plans.find(cover.plan, day)
    except NoPlan:
        return found
    if not active:
        return found
    standing = await read(ctx.store, cover, (), ())
    asked = _Asked(desk, cover, compiled, standing.used, day)
    items = [*_limits(asked), *_services(asked, request)]
    return {**found, "item": items}


def _limits(asked: _Asked) -> Iterator[dict[str, Any]]:
    """Yield what is left of deductible, maximum and annual limit."""
    plan = asked.compiled.plan
    limits, year = plan.limits, year_of(plan, asked.cover.since, asked.day)
    rows = [
        ("deductible", limits.deductible, f"{year}:deductible"),
        ("family deductible", limits.family_deductible, f"{FAMILY}{year}:deductible"),
        ("out-of-pocket maximum", limits.out_of_pocket, f"{year}:out-of-pocket"),
        ("annual limit", limits.annual, f"{year}:paid"),
    ]
    for name, limit, tally in rows:
        if limit:
            yield {"name": name, "benefit": [_benefit(asked, "benefit", limit, asked.used.get(tally, Decimal(0)))]}


def _services(asked: _Asked, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows for the services that are asked about; all rows where none is."""
    wanted = [codes for item in request.get("item", ()) if (codes := codes_of(item.get("productOrService", {})))]
    if not wanted:
        for row in asked.compiled.plan.benefits:
            yield _row(asked, row)
    for item, codes in zip(request.get("item", ()), wanted, strict=False):
        line = Line(1, codes, asked.day, Decimal(0))
        fitting = asked.compiled.benefit(line, None, in_network=True)
        service = {"productOrService": item["productOrService"]}
        yield {**service, "excluded": True} if fitting is None else {**_row(asked, fitting), **service}


def _row(asked: _Asked, row: Benefit) -> dict[str, Any]:
    plan = asked.compiled.plan
    benefits: list[dict[str, Any]] = []
    if row.copay:
        benefits.append({"type": _coded(_TYPE, "copay"), "allowedMoney": money(row.copay, plan.currency)})
    if row.coinsurance:
        benefits.append({"type": _coded(_TYPE, "copay-percent"), "allowedUnsignedInt": int(row.coinsurance)})
    year = year_of(plan, asked.cover.since, asked.day)
    if row.limit_amount is not None:
        tally = f"{period_of(row, year, asked.day)}:benefit.{row.benefit}.paid"
        benefits.append(_benefit(asked, "benefit", row.limit_amount, asked.used.get(tally, Decimal(0))))
    found: dict[str, Any] = {
        "name": row.benefit,
        "excluded": not row.covered,
        "network": _coded(_NETWORK, "out" if row.network == "out" else "in"),
        "unit": _coded(_UNIT, "individual"),
        "term": _coded(_TERM, "lifetime" if row.limit_per == "lifetime" else "annual"),
        "authorizationRequired": row.authorization,
    }
    return {**found, "benefit": benefits} if benefits else found


def _benefit(asked: _Asked, kind: str, limit: Decimal, used: Decimal) -> dict[str, Any]:
    currency = asked.compiled.plan.currency
    return {
        "type": _coded(_TYPE, kind),
        "allowedMoney": money(limit, currency),
        "usedMoney": money(min(used, limit), currency),
    }


def _coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def _unfit(text: str, place: str) -> InvalidResource:
    return InvalidResource(text, issues=[Issue(text, "business-rule", expression=(place,))])
