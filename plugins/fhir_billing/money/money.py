"""Money: an exact amount of one currency. There is no float anywhere, and no amount below the smallest unit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from fhir_billing.money.currency import exponent_of, smallest_of
from fhir_billing.money.faults import MoneyFault

_MOST = Decimal(10) ** 18


@dataclass(frozen=True, slots=True)
class Money:
    """An amount with exactly the decimals of its currency; `money_of` makes it of what comes from outside."""

    amount: Decimal
    currency: str

    def __add__(self, other: "Money") -> "Money":
        """Add. Raises MoneyFault: another currency."""
        return Money(self.amount + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        """Subtract. Raises MoneyFault: another currency."""
        return Money(self.amount - self._same(other), self.currency)

    def __neg__(self) -> "Money":
        """Return the same on the other side."""
        return Money(-self.amount, self.currency)

    def __lt__(self, other: "Money") -> bool:
        """Compare. Raises MoneyFault: another currency."""
        return self.amount < self._same(other)

    def __le__(self, other: "Money") -> bool:
        """Compare. Raises MoneyFault: another currency."""
        return self.amount <= self._same(other)

    def __bool__(self) -> bool:
        """Tell whether it is anything."""
        return bool(self.amount)

    def __str__(self) -> str:
        """Return `12.50 NGN`."""
        return f"{self.amount} {self.currency}"

    def _same(self, other: "Money") -> Decimal:
        if other.currency != self.currency:
            raise MoneyFault(f"{other.currency} is not {self.currency}", expression="Money.currency")
        return other.amount

    @property
    def minor(self) -> int:
        """The amount in the smallest unit: 1250 for 12.50 NGN, as processors take it."""
        return int(self.amount.scaleb(exponent_of(self.currency)))

    @classmethod
    def of_minor(cls, minor: int, currency: str) -> "Money":
        """Return the money of an amount in the smallest unit."""
        return cls(Decimal(minor).scaleb(-exponent_of(currency)), currency)

    def as_fhir(self) -> dict[str, Any]:
        """Return it as the FHIR data type: https://hl7.org/fhir/R4/datatypes.html#Money"""
        return {"value": self.amount, "currency": self.currency}


def money_of(value: object, currency: object = None, *, place: str = "Money", negative: bool = False) -> Money:
    """Return money of a FHIR Money, or of an amount and a currency.

    Args:
        value: a FHIR Money as JSON, or an amount as Decimal, int or text. A float is refused: it has lost digits.
        place: FHIRPath for messages. negative: whether an amount below zero is taken.

    Raises:
        MoneyFault: no amount, too many decimals for the currency, below zero, or no currency.
    """
    if isinstance(value, Mapping):
        return money_of(value.get("value"), value.get("currency"), place=place, negative=negative)
    if not isinstance(currency, str):
        raise MoneyFault(f"{place} has no currency", expression=f"{place}.currency")
    amount = _amount(value, place)
    smallest = smallest_of(currency)
    exact = amount.quantize(smallest)
    if exact != amount:
        raise MoneyFault(f"{currency} has {exponent_of(currency)} decimals, not those of {amount}", expression=place)
    if exact < 0 and not negative:
        raise MoneyFault(f"{place} is below zero", expression=place)
    return Money(exact, currency)


def _amount(value: object, place: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        raise MoneyFault(f"{place} has no amount", expression=f"{place}.value")
    try:
        amount = Decimal(value)
    except InvalidOperation:
        raise MoneyFault(f"{place} is no amount", expression=f"{place}.value") from None
    if not amount.is_finite() or abs(amount) >= _MOST or amount.as_tuple().exponent < -20:  # type: ignore[operator]
        raise MoneyFault(f"{place} is no amount of money", expression=f"{place}.value")
    return amount


def zero(currency: str) -> Money:
    """Return nothing of a currency."""
    return Money(Decimal(0).quantize(smallest_of(currency)), currency)


def total(amounts: Iterable[Money], currency: str) -> Money:
    """Return the sum. Raises MoneyFault: one is of another currency."""
    return sum(amounts, start=zero(currency))
