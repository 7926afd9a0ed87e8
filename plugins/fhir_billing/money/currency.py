"""Currencies: how many decimals each has, as ISO 4217 says."""

from decimal import Decimal
from functools import cache

from iso4217 import Currency

from fhir_billing.money.faults import MoneyFault


@cache
def exponent_of(currency: str) -> int:
    """Return the number of decimals of a currency: 2 for NGN, 0 for UGX, 3 for KWD.

    Source: https://www.six-group.com/en/products-services/financial-information/data-standards.html

    Raises:
        MoneyFault: there is no such currency, or it is one without a smallest unit (gold, test codes).
    """
    try:
        found = Currency(currency).exponent
    except ValueError:
        raise MoneyFault(f"{currency[:10]!r} is no currency of ISO 4217", expression="Money.currency") from None
    if found is None:
        raise MoneyFault(f"nothing can be paid in {currency}", expression="Money.currency")
    return int(found)


@cache
def smallest_of(currency: str) -> Decimal:
    """Return the smallest unit of a currency: `Decimal("0.01")` for NGN."""
    return Decimal(1).scaleb(-exponent_of(currency))
