"""The settings of billing."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Rounding = Literal["half-up", "half-even", "down", "up"]


class BillingSettings(BaseModel):
    """One line of meaning each; times are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    currency: str = Field("USD", description="ISO 4217 code of the currency that the books are read in.")
    rounding: Rounding = Field("half-up", description="How amounts are rounded: half-up, half-even, down or up.")
    cash_units: Mapping[str, Decimal] = Field(
        default_factory=dict,
        description="Smallest amount that is paid in cash, by currency; empty: the smallest unit of the currency.",
    )
