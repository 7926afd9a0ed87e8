"""Splits by largest remainder: the parts always sum to the whole, to the last smallest unit."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from fhir_billing.money.faults import MoneyFault
from fhir_billing.money.money import Money


def split(whole: Money, weights: Sequence[Decimal | int]) -> tuple[Money, ...]:
    """Split in proportion to weights; what is left of the division goes to the largest remainders, the first of equals.

    Raises:
        MoneyFault: a weight below zero, or none above it.
    """
    if not weights or any(weight < 0 for weight in weights) or not any(weights):
        raise MoneyFault("a split needs weights, none below zero and not all zero")
    sign, units = (-1 if whole.amount < 0 else 1), abs(whole.minor)
    scale = Fraction(units) / sum(map(Fraction, weights))
    exact = [Fraction(weight) * scale for weight in weights]
    parts = [int(share) for share in exact]
    order = sorted(range(len(parts)), key=lambda index: (parts[index] - exact[index], index))
    for index in order[: units - sum(parts)]:
        parts[index] += 1
    return tuple(Money.of_minor(sign * part, whole.currency) for part in parts)


def split_evenly(whole: Money, parts: int) -> tuple[Money, ...]:
    """Split into equal parts; the first ones are greater by one smallest unit where it does not come out even."""
    return split(whole, [1] * parts)
