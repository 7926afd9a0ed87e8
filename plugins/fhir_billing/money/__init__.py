"""Money: exact amounts of one currency, rounding that is declared, splits that lose nothing."""

from fhir_billing.money.currency import exponent_of, smallest_of
from fhir_billing.money.faults import MoneyFault
from fhir_billing.money.money import Money, money_of, total, zero
from fhir_billing.money.rounding import cash_rounded, rounded, to_minor
from fhir_billing.money.split import split, split_evenly
from fhir_billing.settings import Rounding

__all__ = [
    "Money",
    "MoneyFault",
    "Rounding",
    "cash_rounded",
    "exponent_of",
    "money_of",
    "rounded",
    "smallest_of",
    "split",
    "split_evenly",
    "to_minor",
    "total",
    "zero",
]
