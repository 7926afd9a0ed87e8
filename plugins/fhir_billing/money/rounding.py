"""Rounding: always by a declared rule, to the smallest unit of a currency or of its cash."""

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Decimal
from typing import Final

from fhir_billing.money.currency import smallest_of
from fhir_billing.money.money import Money
from fhir_billing.settings import Rounding

_RULES: Final = {"half-up": ROUND_HALF_UP, "half-even": ROUND_HALF_EVEN, "down": ROUND_DOWN, "up": ROUND_UP}


def rounded(amount: Decimal, currency: str, rule: Rounding = "half-up") -> Money:
    """Return an amount in the smallest unit of its currency; away from or toward zero, as the rule says."""
    return Money(amount.quantize(smallest_of(currency), _RULES[rule]), currency)


def to_minor(amount: Decimal, currency: str, rule: Rounding = "half-up") -> int:
    """Return an amount as a number of smallest units."""
    return rounded(amount, currency, rule).minor


def cash_rounded(money: Money, unit: Decimal, rule: Rounding = "half-up") -> tuple[Money, Money]:
    """Return what is paid in cash, and what that differs by: 10.03 with coins of 0.05 is 10.05 and 0.02."""
    if unit <= smallest_of(money.currency):
        return money, money - money
    units = (money.amount / unit).quantize(Decimal(1), _RULES[rule])
    paid = rounded(units * unit, money.currency)
    return paid, paid - money
