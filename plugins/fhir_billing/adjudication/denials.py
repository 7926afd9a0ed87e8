"""Denials: what is found wrong with a whole line before any money is shared."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Final

from fhir_billing.adjudication.facts import Authorization, Case, Line
from fhir_billing.adjudication.matching import Compiled, age_on, fits
from fhir_billing.adjudication.plan import Benefit

_ELSEWHERE: Final = timedelta(days=1)
"""How far the day of a service may be ahead of ours: where it was given it may be tomorrow already."""


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a line is not paid at all: a reason code, and what can be said beyond its text."""

    reason: str
    text: str = ""


def fingerprint(case: Case, line: Line) -> str:
    """Return what is the same for the same service of the same provider on the same day."""
    parts = (case.provider, line.code, line.serviced.isoformat(), *sorted(line.modifiers))
    return sha256("\x1f".join(parts).encode()).hexdigest()[:24]


def of_claim(compiled: Compiled, case: Case, line: Line) -> Denial | None:
    """Find what has to do with the coverage and with time."""
    member, plan = case.member, compiled.plan
    if line.serviced < member.since:
        return Denial("26")
    if member.until is not None and line.serviced > member.until:
        return Denial("27")
    if not case.ahead and line.serviced > case.submitted + _ELSEWHERE:
        return Denial("110")
    days = plan.timely_filing_days
    if days is not None and case.submitted > line.serviced + timedelta(days=days):
        return Denial("29", f"The claim came later than {days} days after the service.")
    if member.order > 1 and plan.coordination == "none":
        return Denial("22", "The plan does not pay after another payer.")
    if member.order > 1 and line.earlier is None:
        return Denial("22")
    return None


def of_line(compiled: Compiled, case: Case, line: Line, row: Benefit | None) -> Denial | None:
    """Find what has to do with the benefit."""
    if row is None:
        return _without_row(compiled, case, line)
    if not row.covered:
        return Denial(row.reason)
    if row.waiting_days and line.serviced < (first := case.member.since + timedelta(days=row.waiting_days)):
        return Denial("179", f"The plan pays for this from {first} on.")
    other = compiled.included_in(line, case.lines)
    if other is not None:
        return Denial("97", f"Part of the service in line {other.sequence}.")
    return _authorization(case, line, row)


def _without_row(compiled: Compiled, case: Case, line: Line) -> Denial:
    """Tell why no row fits: one would for another network or another age."""
    age = age_on(case.member.born, line.serviced)
    if compiled.benefit(line, age, in_network=not case.in_network) is not None:
        return Denial("242")
    if any(compiled.benefit(line, each, in_network=case.in_network) for each in (0, 10, 17, 20, 30, 50, 70, 90)):
        return Denial("6")
    return Denial("204")


def _authorization(case: Case, line: Line, row: Benefit) -> Denial | None:
    needed = row.authorization or (row.authorization_above is not None and line.charge > row.authorization_above)
    if not needed:
        return None
    if not line.authorization:
        return Denial("197")
    found = case.authorizations.get(line.authorization)
    if found is None or not any(fits(code, each) for code in found.codes for each in line.codes):
        return Denial("197", "The prior authorization that is named is not for this service.")
    if not found.start <= line.serviced <= found.end:
        return Denial("197", f"The prior authorization is for {found.start} to {found.end}.")
    return None


def units_left(found: Authorization | None, used: Decimal) -> Decimal | None:
    """Return how many units an authorization still has, None where it does not limit them."""
    return None if found is None or found.units is None else max(Decimal(0), found.units - used)
