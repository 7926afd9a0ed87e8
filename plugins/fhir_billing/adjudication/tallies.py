"""Tallies: what a member and a family have used of a plan, by names that say the period.

`2026:deductible`, `2026:benefit.dental.paid`, `life:paid`, `family:2026:deductible`, `2026-03-01:copay.consultation`.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from fhir_billing.adjudication.plan import Benefit, Plan

ZERO = Decimal(0)
FAMILY = "family:"


def year_of(plan: Plan, since: date, day: date) -> str:
    """Return the name of the benefit year of a day: that of the calendar, or the day on which it began."""
    if plan.benefit_year == "calendar":
        return str(day.year)
    first = day.year - ((day.month, day.day) < (since.month, since.day))
    return f"{first:04d}-{since.month:02d}-{since.day:02d}"


def period_of(row: Benefit, year: str, day: date) -> str:
    """Return the period of the limits of a benefit."""
    return {"year": year, "lifetime": "life", "day": day.isoformat()}[row.limit_per]


class Tally:
    """What was used before, and what this claim adds."""

    __slots__ = ("_before", "used")

    def __init__(self, before: Mapping[str, Decimal]) -> None:
        self._before, self.used = before, dict[str, Decimal]()

    def of(self, name: str) -> Decimal:
        """Return what is used."""
        return self._before.get(name, ZERO) + self.used.get(name, ZERO)

    def add(self, name: str, amount: Decimal) -> None:
        """Use some."""
        if amount:
            self.used[name] = self.used.get(name, ZERO) + amount

    def left(self, limit: Decimal | None, name: str) -> Decimal | None:
        """Return what is left of a limit, None where there is none."""
        return None if limit is None else max(ZERO, limit - self.of(name))


def least(*amounts: Decimal | None) -> Decimal | None:
    """Return the smallest of those that are there."""
    return min((each for each in amounts if each is not None), default=None)
