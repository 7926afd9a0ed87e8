"""Sharing: how an allowed amount falls to the patient and the payer.

In this order: deductible, copay, coinsurance, the out-of-pocket maximum over these, limits of the benefit and the plan
over what is left to the payer, and last what earlier payers settled.
"""

from dataclasses import dataclass, field
from decimal import Decimal

from fhir_billing.adjudication.facts import Line
from fhir_billing.adjudication.plan import Benefit, Plan
from fhir_billing.adjudication.reasons import REASONS, Category
from fhir_billing.adjudication.results import ZERO, Adjustment
from fhir_billing.adjudication.rounding import percent
from fhir_billing.adjudication.tallies import FAMILY, Tally, least, period_of

_SHARES: tuple[tuple[Category, str], ...] = (("deductible", "1"), ("copay", "3"), ("coinsurance", "2"))


@dataclass(slots=True)
class Parts:
    """The parts of one line while they are found; `paid` and the amounts of `shares` and `over` make up `allowed`."""

    allowed: Decimal
    shares: dict[Category, Decimal] = field(default_factory=dict)
    over: list[Adjustment] = field(default_factory=list)
    paid: Decimal = ZERO


def adjustment(plan: Plan, reason: str, amount: Decimal, text: str = "") -> Adjustment:
    """Return an adjustment for a reason, borne by whom the plan says."""
    found = REASONS[reason]
    return Adjustment(plan.liability.get(reason, found.group), found.category, reason, amount, text)


@dataclass(frozen=True, slots=True)
class Sharing:
    """Shares the lines of one claim under one plan. quantum: the smallest unit of the currency."""

    plan: Plan
    tally: Tally
    quantum: Decimal

    def share(self, line: Line, row: Benefit, allowed: Decimal, year: str) -> Parts:
        """Return the parts of an allowed amount. Tallies are not changed yet."""
        parts = Parts(allowed)
        rest = allowed
        for name, amount in self._shares(line, row, allowed, year):
            parts.shares[name] = amount
            rest -= amount
        rest += self._over_maximum(parts, row, year)
        parts.paid = self._limited(parts, line, row, rest, year)
        return parts

    def _shares(self, line: Line, row: Benefit, allowed: Decimal, year: str) -> list[tuple[Category, Decimal]]:
        deductible = min(allowed, self._deductible_left(year)) if row.deductible else ZERO
        rest = allowed - deductible
        copay = min(rest, self._copay(line, row))
        coinsurance = percent(rest - copay, row.coinsurance, self.quantum, self.plan.rounding)
        return [("deductible", deductible), ("copay", copay), ("coinsurance", coinsurance)]

    def _deductible_left(self, year: str) -> Decimal:
        limits, name = self.plan.limits, f"{year}:deductible"
        own = self.tally.left(limits.deductible, name)
        return least(own, self.tally.left(limits.family_deductible, FAMILY + name)) or ZERO

    def _copay(self, line: Line, row: Benefit) -> Decimal:
        if row.copay_per == "unit":
            return (row.copay * line.quantity).quantize(self.quantum)
        if row.copay_per == "day":
            return self.tally.left(row.copay, _copay_name(line, row)) or ZERO
        return row.copay

    def _over_maximum(self, parts: Parts, row: Benefit, year: str) -> Decimal:
        """Take from the patient's part what is over the out-of-pocket maximum; return how much that is."""
        limits, name = self.plan.limits, f"{year}:out-of-pocket"
        own = self.tally.left(limits.out_of_pocket, name)
        left = least(own, self.tally.left(limits.family_out_of_pocket, FAMILY + name))
        if left is None or not row.to_maximum:
            return ZERO
        over = taken = max(ZERO, sum(parts.shares.values(), ZERO) - left)
        for category, _ in reversed(_SHARES):
            less = min(over, parts.shares[category])
            parts.shares[category] -= less
            over -= less
        return taken

    def _limited(self, parts: Parts, line: Line, row: Benefit, amount: Decimal, year: str) -> Decimal:
        """Hold what the payer would pay to the limits; return what is left of it."""
        limits, tally = self.plan.limits, self.tally
        name = f"{period_of(row, year, line.serviced)}:benefit.{row.benefit}.paid"
        for left, reason in (
            (tally.left(row.limit_amount, name), "119"),
            (tally.left(limits.annual, f"{year}:paid"), "119"),
            (tally.left(limits.lifetime, "life:paid"), "35"),
        ):
            if left is not None and amount > left:
                parts.over.append(self._over_limit(reason, amount - left))
                amount = left
        return amount

    def _over_limit(self, reason: str, amount: Decimal) -> Adjustment:
        group = self.plan.liability.get(reason, self.plan.over_limit)
        return Adjustment(group, REASONS[reason].category, reason, amount)

    def count(self, line: Line, row: Benefit, year: str, adjustments: list[Adjustment], paid: Decimal) -> None:
        """Add what the line came to, after all that others settled, to the tallies."""
        shares: dict[str, Decimal] = {}
        for each in adjustments:
            shares[each.category] = shares.get(each.category, ZERO) + each.amount
        deductible = shares.get("deductible", ZERO)
        pocket = sum((shares.get(name, ZERO) for name, _ in _SHARES), ZERO) if row.to_maximum else ZERO
        for prefix in ("", FAMILY):
            self.tally.add(f"{prefix}{year}:deductible", deductible)
            self.tally.add(f"{prefix}{year}:out-of-pocket", pocket)
        self.tally.add(f"{year}:paid", paid)
        self.tally.add("life:paid", paid)
        self.tally.add(f"{period_of(row, year, line.serviced)}:benefit.{row.benefit}.paid", paid)
        if row.copay_per == "day":
            self.tally.add(_copay_name(line, row), shares.get("copay", ZERO))

    def settle(self, parts: Parts, contractual: list[Adjustment], line: Line) -> tuple[Decimal, list[Adjustment]]:
        """Return what is paid and all adjustments, what earlier payers settled taken out first."""
        own = [adjustment(self.plan, reason, parts.shares[name]) for name, reason in _SHARES if parts.shares[name]]
        if line.earlier is None:
            return parts.paid, [*contractual, *own, *parts.over]
        return second(self.plan, line, parts.paid, [*own, *contractual, *parts.over])


def second(plan: Plan, line: Line, benefit: Decimal, own: list[Adjustment]) -> tuple[Decimal, list[Adjustment]]:
    """Return what a later payer pays of what the earlier ones left to the patient, and who bears the rest.

    Its own reasons are used up in their order until the rest is explained; they never make up more than that.
    """
    assert line.earlier is not None
    left = min(line.earlier.patient, line.charge)
    wanted = benefit if plan.coordination == "standard" else max(ZERO, benefit - line.earlier.paid)
    paid = min(wanted, left)
    found = [adjustment(plan, "23", line.charge - left)] if line.charge > left else []
    rest = left - paid
    for each in own:
        amount = min(rest, each.amount)
        if amount:
            found.append(Adjustment(each.group, each.category, each.reason, amount, each.text))
            rest -= amount
    if rest:
        found.append(adjustment(plan, "96", rest, "More than the plan pays after others."))
    return paid, found


def _copay_name(line: Line, row: Benefit) -> str:
    return f"{line.serviced}:copay.{row.benefit}"
