"""Deciding by tables: the result of a claim under the tables in force on the days of its services."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Final

from fhir_billing.adjudication.denials import fingerprint
from fhir_billing.adjudication.engine import adjudicate
from fhir_billing.adjudication.facts import Authorization, Case, Line, Member
from fhir_billing.adjudication.library import NoPlan, Plans
from fhir_billing.adjudication.matching import Compiled, age_on
from fhir_billing.adjudication.results import ZERO, Result
from fhir_billing.claims.gathering import Gathered
from fhir_billing.claims.standing import Standing, month_of
from fhir_billing.money import smallest_of
from fhir_server.plugin_api import InvalidResource, Issue

ASKED: Final = "*"
"""The authorization of a line that asks for one."""
_OPEN: Final = {ASKED: Authorization(("*",), date.min, date.max)}


def by_table(
    plans: Plans,
    gathered: Gathered,
    standing: Standing,
    refused: Mapping[int, str] | None = None,
    *,
    ahead: bool = False,
) -> Result:
    """Decide a claim.

    Args:
        standing: of its months and authorizations. refused: lines that a person refused, with the reason.
        ahead: whether services may lie in the future, as for an estimate.

    Raises:
        InvalidResource: there is no table for the plan on that day, or it is in another currency.
    """
    case = case_of(gathered, standing, refused or {}, ahead=ahead)
    used, parts = standing.used, list[Result]()
    for compiled, lines in _by_version(plans, gathered, case.lines):
        _hold(compiled, gathered, lines)
        part = _part(case, lines, parts)
        result = adjudicate(compiled, part, used, smallest_of(case.currency))
        used = {name: used.get(name, ZERO) + result.used.get(name, ZERO) for name in {*used, *result.used}}
        parts.append(result)
    return parts[0] if len(parts) == 1 else _joined(parts)


def case_of(gathered: Gathered, standing: Standing, refused: Mapping[int, str], *, ahead: bool = False) -> Case:
    """Return the claim as the engine takes it; one that asks for authorization is not held to having one."""
    taken, cover = gathered.taken, gathered.cover
    asks = taken.use == "preauthorization"
    lines = tuple(_asking(line) for line in taken.lines) if asks else taken.lines
    return Case(
        currency=taken.currency,
        submitted=gathered.today,
        member=Member(gathered.born, cover.since, cover.until, cover.order),
        lines=lines,
        provider=gathered.provider,
        in_network=gathered.in_network,
        authorizations=_OPEN if asks else standing.authorizations,
        seen={} if asks else standing.seen,
        refused=refused,
        ahead=ahead or taken.use != "claim",
    )


def months(gathered: Gathered) -> set[str]:
    """Return the months of service."""
    return {month_of(line.serviced) for line in gathered.taken.lines}


def prints(gathered: Gathered, standing: Standing) -> dict[int, str]:
    """Return the fingerprint of each line."""
    case = case_of(gathered, standing, {})
    return {line.sequence: fingerprint(case, line) for line in case.lines}


def _asking(line: Line) -> Line:
    return Line(
        line.sequence, line.codes, line.serviced, line.charge, line.quantity, line.modifiers, line.diagnoses, ASKED,
        line.earlier,
    )  # fmt: skip


def _by_version(plans: Plans, gathered: Gathered, lines: Sequence[Line]) -> Iterator[tuple[Compiled, tuple[Line, ...]]]:
    place = f"Claim.insurance[{gathered.taken.insurance}].coverage"
    try:
        found = [(plans.find(gathered.cover.plan, line.serviced), line) for line in lines]
    except NoPlan as error:
        raise InvalidResource(str(error), issues=[Issue(str(error), "not-found", expression=(place,))]) from None
    for compiled, group in groupby(found, key=lambda each: each[0]):
        yield compiled, tuple(line for _, line in group)


def _hold(compiled: Compiled, gathered: Gathered, lines: Sequence[Line]) -> None:
    """Hold currency and codes to the table. Raises InvalidResource."""
    plan, taken = compiled.plan, gathered.taken
    if plan.currency != taken.currency:
        text = f"the claim is in {taken.currency}, the plan {plan.plan} pays in {plan.currency}"
        raise InvalidResource(text, issues=[Issue(text, "business-rule", expression=("Claim.total.currency",))])
    if not plan.known_codes_only:
        return
    places = {item["sequence"]: n for n, item in enumerate(taken.resource["item"])}
    issues = [
        Issue(f"the plan {plan.plan} has no code {line.code}", "code-invalid",
              expression=(f"Claim.item[{places[line.sequence]}].productOrService",))
        for line in lines if compiled.benefit(line, age_on(gathered.born, line.serviced), in_network=True) is None
    ]  # fmt: skip
    if issues:
        raise InvalidResource("unknown codes", issues=issues)


def _part(case: Case, lines: tuple[Line, ...], before: Sequence[Result]) -> Case:
    """Return the case of some lines; what stands in the parts before counts as seen."""
    if lines == case.lines:
        return case
    seen = dict(case.seen) | {print_: "this" for part in before for print_ in part.seen}
    return replace(case, lines=lines, seen=seen)


def _joined(parts: Sequence[Result]) -> Result:
    used: dict[str, Decimal] = {}
    spent: dict[str, tuple[Decimal, Decimal]] = {}
    for part in parts:
        for name, amount in part.used.items():
            used[name] = used.get(name, ZERO) + amount
        for number, (units, amount) in part.spent.items():
            before = spent.get(number, (ZERO, ZERO))
            spent[number] = (before[0] + units, before[1] + amount)
    return Result(
        parts[0].currency,
        " ".join(part.plan for part in parts),
        tuple(line for part in parts for line in part.lines),
        used,
        tuple(each for part in parts for each in part.seen),
        spent,
    )
