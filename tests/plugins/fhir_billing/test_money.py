"""Money is exact: decimals of the currency, declared rounding, splits that lose nothing."""

from decimal import Decimal

import pytest
from fhir_billing.money import Money, MoneyFault, cash_rounded, exponent_of, money_of, rounded, split, split_evenly
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("currency", "exponent"), [("KWD", 3), ("TND", 3), ("JPY", 0), ("UGX", 0), ("ZWG", 2), ("NGN", 2)]
)
def test_decimals_are_those_of_iso_4217(currency: str, exponent: int) -> None:
    assert exponent_of(currency) == exponent


@pytest.mark.parametrize(
    ("value", "currency"),
    [("1.005", "NGN"), ("1.5", "JPY"),
     ("1", "XAU"), ("1", "ZZZ"), ("1", None), ("-1", "NGN"), (1.5, "NGN"), (True, "NGN"),
     ("NaN", "NGN"), ("1E400", "NGN"), ("1E18", "NGN"), (None, "NGN"), ("1e-30", "NGN"), ("", "NGN")],
)  # fmt: skip
def test_what_is_no_amount_of_a_currency_is_refused(value: object, currency: object) -> None:
    with pytest.raises(MoneyFault):
        money_of(value, currency)


def test_two_currencies_do_not_meet() -> None:
    with pytest.raises(MoneyFault, match="USD is not NGN"):
        money_of("1", "NGN") + money_of("1", "USD")


def test_rounding_is_the_declared_one() -> None:
    rules = ("half-up", "half-even", "down", "up")
    assert [str(rounded(Decimal("0.125"), "USD", rule).amount) for rule in rules] == ["0.13", "0.12", "0.12", "0.13"]  # type: ignore[arg-type]


def test_cash_is_rounded_to_the_coins_there_are() -> None:
    paid, differs = cash_rounded(money_of("10.03", "CHF"), Decimal("0.05"))
    assert (str(paid), str(differs)) == ("10.05 CHF", "0.02 CHF")
    assert cash_rounded(money_of("10", "UGX"), Decimal(1))[1].minor == 0


@given(
    st.integers(-(10**12), 10**12), st.sampled_from(["NGN", "KWD", "UGX"]),
    st.lists(st.decimals(0, 1000, places=3), min_size=1, max_size=9).filter(any),
)  # fmt: skip
def test_a_split_sums_up_to_the_last_unit_and_is_fair_to_one(minor: int, currency: str, weights: list[Decimal]) -> None:
    whole = Money.of_minor(minor, currency)
    parts = split(whole, weights)
    assert sum(part.minor for part in parts) == minor
    scale = sum(weights)
    assert all(abs(part.minor - minor * weight / scale) < 1 for part, weight in zip(parts, weights, strict=True))


def test_even_parts_differ_by_one_unit() -> None:
    assert [part.minor for part in split_evenly(money_of("100.00", "USD"), 3)] == [3334, 3333, 3333]
