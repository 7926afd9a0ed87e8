"""Gathering: all that a decision on a Claim rests on, read with the authority of whoever asks."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from fhir_billing.adjudication.facts import PriorLine
from fhir_billing.claims.answers import Unreadable, prior_of
from fhir_billing.claims.desk import Desk
from fhir_billing.claims.intake import Taken, take
from fhir_billing.coverage.cover import Cover, cover_of, day_of
from fhir_server.plugin_api import Forbidden, Gone, InvalidResource, Issue, NotFound, PluginContext, TooCostly

_LOCAL: Final = re.compile(r"^(?:https?://.+/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9.\-]{1,64})(?:/_history/.+)?$")


@dataclass(frozen=True, slots=True)
class Gathered:
    """A claim, checked, with its coverage and patient.

    identifiers: of who is to pay; payer: the adapter's name, empty where a table decides. earlier: answers of payers
    that come before, as ids of ClaimResponse and Claim.
    """

    taken: Taken
    cover: Cover
    born: date | None
    provider: str
    in_network: bool
    payer: str
    identifiers: tuple[str, ...]
    today: date
    earlier: tuple[tuple[str, str], ...] = ()


async def gather(ctx: PluginContext, desk: Desk, claim: Mapping[str, Any]) -> Gathered:
    """Read what a claim rests on.

    Raises:
        Forbidden: the caller may not make claims.
        InvalidResource: the claim has faults, its coverage is of somebody else, or there is no such coverage.
    """
    if not ctx.core.restriction.may("create", "Claim"):
        raise Forbidden("the token does not allow to make claims: it needs Claim.c", expression="Claim")
    if len(claim.get("item", ())) > ctx.settings.claim_lines:
        raise TooCostly(f"a claim has at most {ctx.settings.claim_lines} items", expression="Claim.item")
    first = take(claim, usual=ctx.settings.currency)
    patient = await _read(ctx, "Patient", first.patient, "Claim.patient")
    place = f"Claim.insurance[{first.insurance}].coverage"
    cover = cover_of(await _read(ctx, "Coverage", first.coverage, place), place)
    if cover.patient != patient["id"]:
        raise _unfit("the coverage is another patient's", place)
    prior, earlier = await _prior(ctx, first)
    plan = next((each for each in desk.plans if each.plan == cover.plan), None)
    usual = plan.currency if plan else ctx.settings.currency
    taken = first if not prior and usual == ctx.settings.currency else take(claim, prior, usual)
    provider = str(claim.get("provider", {}).get("reference", ""))
    identifiers = await _identifiers(ctx, cover.payor)
    payer = desk.payer_of(cover, identifiers)
    born, day = patient.get("birthDate"), today(ctx)
    network = () if payer else _network(desk, cover, taken)
    inside = not network or bool({provider, *await _identifiers(ctx, provider)} & set(network))
    age_from = day_of(born, date.min) if born else None
    return Gathered(taken, cover, age_from, provider, inside, payer, identifiers, day, earlier)


def today(ctx: PluginContext) -> date:
    """Return the day it is, in UTC."""
    return datetime.fromtimestamp(ctx.now() / 1000, UTC).date()


def _network(desk: Desk, cover: Cover, taken: Taken) -> Sequence[str]:
    """Return the providers of the plan's network; none where all are, or there is no such plan (told later)."""
    if cover.plan not in desk.plans:
        return ()
    return next((plan.network for plan in desk.plans if plan.plan == cover.plan and plan.network), ())


async def _read(ctx: PluginContext, type_: str, reference: str, place: str) -> dict[str, Any]:
    found = _LOCAL.match(reference)
    if found is None or found["type"] != type_ or _elsewhere(ctx, reference):
        raise _unfit(f"{place} is no reference to a {type_} of this server", place)
    try:
        return await ctx.client.read(type_, found["id"])
    except (NotFound, Gone):
        raise _unfit(f"there is no such {type_} that you may see", place, "not-found") from None


def _elsewhere(ctx: PluginContext, reference: str) -> bool:
    return reference.startswith("http") and not reference.startswith(f"{ctx.base}/")


async def _identifiers(ctx: PluginContext, reference: str) -> tuple[str, ...]:
    """Return the identifiers of an organization or person, as far as they are here."""
    found = _LOCAL.match(reference)
    if found is None or found["type"] not in ("Organization", "Practitioner") or _elsewhere(ctx, reference):
        return ()
    resource = await ctx.own.find(found["type"], found["id"])
    return tuple(str(each.get("value", "")) for each in (resource or {}).get("identifier", ()))


async def _prior(ctx: PluginContext, taken: Taken) -> tuple[dict[int, PriorLine], tuple[tuple[str, str], ...]]:
    """Return what all payers that come before the focal one did with each line, taken together, and their answers."""
    found: dict[int, PriorLine] = {}
    answers: list[tuple[str, str]] = []
    asked = {line.sequence: line.charge for line in taken.lines}
    for number, each in enumerate(taken.resource.get("insurance", ())):
        if each.get("focal") or "claimResponse" not in each:
            continue
        place = f"Claim.insurance[{number}].claimResponse"
        answer = await _read(ctx, "ClaimResponse", str(each["claimResponse"].get("reference", "")), place)
        if str(answer.get("patient", {}).get("reference", "")) != str(taken.resource["patient"]["reference"]):
            raise _unfit("the answer of the earlier payer is about another patient", place)
        if answer.get("outcome") != "complete":
            raise _unfit("the earlier payer has not decided yet", place)
        try:
            now = prior_of(answer, asked, taken.currency)
        except Unreadable as error:
            raise _unfit(str(error), place) from None
        for sequence, line in now.items():
            before = found.get(sequence, PriorLine(Decimal(0), line.patient))
            found[sequence] = PriorLine(before.paid + line.paid, min(before.patient, line.patient))
        answers.append((str(answer["id"]), str(answer.get("request", {}).get("reference", "")).rpartition("Claim/")[2]))
    return found, tuple(answers)


def _unfit(text: str, place: str, code: str = "business-rule") -> InvalidResource:
    return InvalidResource(text, issues=[Issue(text, code, expression=(place,))])
