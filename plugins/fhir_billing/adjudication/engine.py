"""The engine: a claim, the tables and what was used before, to each line's paid amount and adjustments.

The same function makes estimates, prior authorizations and payments, so that they cannot disagree.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from fhir_billing.adjudication.denials import Denial, fingerprint, of_claim, of_line, units_left
from fhir_billing.adjudication.facts import Authorization, Case, Line
from fhir_billing.adjudication.matching import Compiled, age_on
from fhir_billing.adjudication.plan import Benefit
from fhir_billing.adjudication.results import ZERO, Adjustment, LineResult, Result, check
from fhir_billing.adjudication.rounding import MODES, share
from fhir_billing.adjudication.sharing import Sharing, adjustment, second
from fhir_billing.adjudication.tallies import Tally, period_of, year_of


def adjudicate(compiled: Compiled, case: Case, used: Mapping[str, Decimal], quantum: Decimal) -> Result:
    """Adjudicate a claim.

    Args:
        used: the tallies of member and family before it. quantum: the smallest unit of the currency.
    """
    run = _Run(compiled, case, Sharing(compiled.plan, Tally(used), quantum))
    lines = tuple(run.line(each) for each in case.lines)
    used_now = {name: amount for name, amount in run.sharing.tally.used.items() if amount}
    return Result(case.currency, compiled.plan.name, lines, used_now, tuple(run.seen), dict(run.spent))


@dataclass(slots=True)
class _Run:
    """One claim on its way."""

    compiled: Compiled
    case: Case
    sharing: Sharing
    seen: list[str] = field(default_factory=list)
    spent: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)

    def line(self, line: Line) -> LineResult:
        """Adjudicate one line."""
        case, compiled = self.case, self.compiled
        age = age_on(case.member.born, line.serviced)
        denial = of_claim(compiled, case, line) or self._repeat(line) or self._refused(line)
        row = compiled.benefit(line, age, in_network=case.in_network)
        denial = denial or of_line(compiled, case, line, row)
        if denial is not None or row is None:
            return self._denied(line, denial or Denial("204"), row)
        return self._shared(line, row)

    def _refused(self, line: Line) -> Denial | None:
        reason = self.case.refused.get(line.sequence)
        return None if reason is None else Denial(reason)

    def _repeat(self, line: Line) -> Denial | None:
        print_ = fingerprint(self.case, line)
        if print_ in self.seen:
            return Denial("18", "The same service stands twice in this claim.")
        if other := self.case.seen.get(print_):
            return Denial("18", f"The same service was claimed before, in Claim/{other}.")
        return None

    def _denied(self, line: Line, denial: Denial, row: Benefit | None) -> LineResult:
        plan = self.compiled.plan
        one = adjustment(plan, denial.reason, line.charge, denial.text)
        adjustments = [one] if line.charge else []
        if line.earlier is not None and line.charge:
            _, adjustments = second(plan, line, ZERO, [one])
        name = row.benefit if row is not None else ""
        return check(LineResult(line.sequence, line.charge, ZERO, ZERO, tuple(adjustments), name, refused=True))

    def _shared(self, line: Line, row: Benefit) -> LineResult:
        year = year_of(self.compiled.plan, self.case.member.since, line.serviced)
        units, over = self._units(line, row, year)
        charge = share(line.charge, units, line.quantity, self.sharing.quantum, self.compiled.plan.rounding)
        before = [each for each in self._over_units(line.charge - charge, over) if each.amount]
        allowed = self._allowed(line, charge, units)
        contractual = self._contractual(charge - allowed)
        parts = self.sharing.share(line, row, allowed, year)
        over_amount = self._over_authorized(line, parts.paid)
        if over_amount:
            parts.paid -= over_amount
            parts.over.append(adjustment(self.compiled.plan, "198", over_amount))
        paid, adjustments = self.sharing.settle(parts, [*contractual, *before], line)
        self.sharing.count(line, row, year, adjustments, paid)
        self._count(line, row, year, units, paid)
        return check(
            LineResult(
                line.sequence,
                line.charge,
                allowed,
                paid,
                tuple(adjustments),
                row.benefit,
                line.authorization,
                row.review,
            )
        )

    def _units(self, line: Line, row: Benefit, year: str) -> tuple[Decimal, str]:
        """Return how many units are covered, and the reason for which others are not."""
        name = _units_name(row, year, line)
        left = self.sharing.tally.left(row.limit_units, name)
        units, reason = line.quantity, ""
        if left is not None and left < units:
            units, reason = left, "119"
        granted = units_left(self._granted(line), self.spent.get(line.authorization, (ZERO, ZERO))[0])
        if granted is not None and granted < units:
            units, reason = granted, "198"
        return units, reason

    def _granted(self, line: Line) -> Authorization | None:
        return self.case.authorizations.get(line.authorization) if line.authorization else None

    def _over_units(self, amount: Decimal, reason: str) -> list[Adjustment]:
        plan = self.compiled.plan
        if not reason:
            return []
        if reason == "119":
            one = adjustment(plan, reason, amount, "More units than the benefit has in the period.")
            return [Adjustment(plan.liability.get("119", plan.over_limit), one.category, "119", amount, one.text)]
        return [adjustment(plan, reason, amount)]

    def _allowed(self, line: Line, charge: Decimal, units: Decimal) -> Decimal:
        price = self.compiled.price(line)
        if price is None:
            return charge
        plan = self.compiled.plan
        return min(charge, (price * plan.price_factor * units).quantize(self.sharing.quantum, MODES[plan.rounding]))

    def _contractual(self, amount: Decimal) -> list[Adjustment]:
        if not amount:
            return []
        plan = self.compiled.plan
        if self.case.in_network or not plan.balance_billing:
            return [adjustment(plan, "45", amount)]
        text = "Over the plan's price, by a provider outside of the network."
        return [Adjustment("PR", "noncovered", "45", amount, text)]

    def _over_authorized(self, line: Line, paid: Decimal) -> Decimal:
        granted = self._granted(line)
        if granted is None or granted.amount is None:
            return ZERO
        return max(ZERO, paid - max(ZERO, granted.amount - self.spent.get(line.authorization, (ZERO, ZERO))[1]))

    def _count(self, line: Line, row: Benefit, year: str, units: Decimal, paid: Decimal) -> None:
        self.seen.append(fingerprint(self.case, line))
        if row.limit_units is not None:
            self.sharing.tally.add(_units_name(row, year, line), units)
        if self._granted(line) is not None:
            spent = self.spent.get(line.authorization, (ZERO, ZERO))
            self.spent[line.authorization] = (spent[0] + units, spent[1] + paid)


def _units_name(row: Benefit, year: str, line: Line) -> str:
    return f"{period_of(row, year, line.serviced)}:benefit.{row.benefit}.units"
