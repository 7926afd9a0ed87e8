"""Rounding of amounts as a plan declares it."""

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Decimal
from typing import Final, Literal

Mode = Literal["half-up", "half-even", "down", "up"]
MODES: Final = {"half-up": ROUND_HALF_UP, "half-even": ROUND_HALF_EVEN, "down": ROUND_DOWN, "up": ROUND_UP}
_HUNDRED: Final = Decimal(100)


def percent(amount: Decimal, rate: Decimal, quantum: Decimal, mode: Mode) -> Decimal:
    """Return a percentage of an amount, in whole minor units."""
    return (amount * rate / _HUNDRED).quantize(quantum, MODES[mode])


def share(amount: Decimal, part: Decimal, whole: Decimal, quantum: Decimal, mode: Mode) -> Decimal:
    """Return part/whole of an amount, in whole minor units."""
    return amount if part == whole else (amount * part / whole).quantize(quantum, MODES[mode])
