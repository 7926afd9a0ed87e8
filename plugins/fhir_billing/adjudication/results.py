"""Results of adjudication: each line as paid amount and adjustments that together make up what was asked for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Literal

from fhir_billing.adjudication.reasons import REASONS, Category, Group

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Adjustment:
    """Why an amount of a line was not paid by this payer, and who bears it. `text` says more than the reason does."""

    group: Group
    category: Category
    reason: str
    amount: Decimal
    text: str = ""

    @property
    def words(self) -> str:
        """The reason in words."""
        return self.text or REASONS[self.reason].text


@dataclass(frozen=True, slots=True)
class LineResult:
    """One line. allowed: the agreed price of what is covered; benefit: the row that decided; refused: as a whole."""

    sequence: int
    submitted: Decimal
    allowed: Decimal
    paid: Decimal
    adjustments: tuple[Adjustment, ...]
    benefit: str = ""
    authorization: str = ""
    review: bool = False
    refused: bool = False

    def of_group(self, group: Group) -> Decimal:
        """Return what a group bears."""
        return sum((each.amount for each in self.adjustments if each.group == group), ZERO)

    def of_category(self, category: Category) -> Decimal:
        """Return the amount of a category."""
        return sum((each.amount for each in self.adjustments if each.category == category), ZERO)

    @property
    def patient(self) -> Decimal:
        """What the patient owes."""
        return self.of_group("PR")

    @property
    def denied(self) -> bool:
        """Whether nothing is allowed of what was asked for."""
        return self.allowed == 0 and (self.submitted > 0 or self.refused)


@dataclass(frozen=True)
class Result:
    """A claim, adjudicated.

    used: what it adds to the tallies. seen: fingerprints of the lines that count for duplicates.
    spent: units and amount of each prior authorization that it used.
    """

    currency: str
    plan: str
    lines: tuple[LineResult, ...]
    used: Mapping[str, Decimal] = field(default_factory=dict)
    seen: tuple[str, ...] = ()
    spent: Mapping[str, tuple[Decimal, Decimal]] = field(default_factory=dict)

    @cached_property
    def submitted(self) -> Decimal:
        """What was asked for."""
        return total(each.submitted for each in self.lines)

    @cached_property
    def allowed(self) -> Decimal:
        """What the plan allows."""
        return total(each.allowed for each in self.lines)

    @cached_property
    def paid(self) -> Decimal:
        """What the payer pays."""
        return total(each.paid for each in self.lines)

    @cached_property
    def patient(self) -> Decimal:
        """What the patient owes."""
        return self.of_group("PR")

    def of_group(self, group: Group) -> Decimal:
        """Return what a group bears."""
        return total(each.of_group(group) for each in self.lines)

    def of_category(self, category: Category) -> Decimal:
        """Return the amount of a category."""
        return total(each.of_category(category) for each in self.lines)

    @property
    def review(self) -> bool:
        """Whether a person has to look at it before it is decided."""
        return any(each.review for each in self.lines)


class Unbalanced(Exception):
    """A line whose parts do not make up what was asked for: a fault of the engine, or of a payer's answer."""


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Return a sum."""
    return sum(amounts, ZERO)


def check(line: LineResult) -> LineResult:
    """Return the line. Raises Unbalanced: paid and adjustments are not what was submitted, or one is below zero."""
    parts = [line.paid, *(each.amount for each in line.adjustments)]
    if sum(parts) != line.submitted or min(parts) < 0:
        raise Unbalanced(f"line {line.sequence}: {' + '.join(map(str, parts))} is not {line.submitted}")
    return line


Outcome = Literal["complete", "partial", "queued", "error"]
