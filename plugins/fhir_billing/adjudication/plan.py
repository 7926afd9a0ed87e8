"""Plan: the rules of one insurance plan, as its table says them; every field has one line of meaning for analysts."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from fhir_billing.adjudication.reasons import REASONS, Group
from fhir_billing.adjudication.rounding import Mode


def _words(value: object) -> object:
    return tuple(value.split()) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
Amount = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
Percent = Annotated[Decimal, Field(ge=0, le=100, allow_inf_nan=False)]
Days = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Benefit(_Strict):
    """A row of the benefits table. The row whose code fits most exactly decides a line."""

    benefit: str = Field(description="Name of the benefit; limits are counted by it.", min_length=1)
    codes: Words = Field(
        description="Codes `system|code` or `code`; `99*` is all that begin so, `*` is any.", min_length=1
    )
    modifiers: Words = Field((), description="Modifiers that the line has to have; none: any line.")
    network: Literal["any", "in", "out"] = Field("any", description="Providers for which the row is.")
    ages: Annotated[str, Field(pattern=r"^(\d+-\d*)?$")] = Field(
        "", description="Ages in years, `0-5`, `65-`; empty: all."
    )
    diagnoses: Words = Field((), description="Diagnoses of which the line has to have one; none: any.")
    covered: bool = Field(True, description="Whether the plan pays at all.")
    reason: str = Field("96", description="Reason code of what is not covered.")
    deductible: bool = Field(True, description="Whether the deductible comes first.")
    copay: Amount = Field(Decimal(0), description="Fixed amount that the patient pays.")
    copay_per: Literal["line", "unit", "day"] = Field("line", description="What the copay is paid for once.")
    coinsurance: Percent = Field(Decimal(0), description="Percentage that the patient pays of what is left.")
    to_maximum: bool = Field(True, description="Whether the patient's part counts towards the out-of-pocket maximum.")
    waiting_days: Days = Field(0, description="Days after the start of the coverage before the plan pays.")
    authorization: bool = Field(False, description="Whether a prior authorization is needed.")
    authorization_above: Amount | None = Field(None, description="It is needed only for charges above this.")
    limit_amount: Amount | None = Field(None, description="Most that the plan pays for the benefit in the period.")
    limit_units: Amount | None = Field(None, description="Most units of the benefit in the period.")
    limit_per: Literal["year", "lifetime", "day"] = Field("year", description="The period of the limits.")
    review: bool = Field(False, description="Whether a person decides; the claim is pended until then.")

    @model_validator(mode="after")
    def _reason_is_known(self) -> Self:
        if self.reason not in REASONS:
            raise ValueError(f"reason {self.reason} is none of {', '.join(REASONS)}")
        return self


class Price(_Strict):
    """A row of the tariff: the agreed price of one unit."""

    code: str = Field(description="`system|code` or `code`.", min_length=1)
    price: Amount = Field(description="Price of one unit.")
    modifiers: Words = Field((), description="Modifiers that the line has to have.")
    effective_from: date = Field(date.min, description="First day of the price.")
    effective_to: date = Field(date.max, description="Last day of the price.")


class Bundle(_Strict):
    """A bundling edit: what is paid with another service of the same day is not paid beside it."""

    service: str = Field(description="Code of the service that includes others; patterns as in benefits.")
    includes: Words = Field(description="Codes that it includes.", min_length=1)
    unless: Words = Field((), description="Modifiers that say that it was a service of its own (59, XS).")


class Limits(_Strict):
    """Amounts of the plan for a benefit year; what is left out does not limit."""

    deductible: Amount = Field(Decimal(0), description="What the patient pays first.")
    family_deductible: Amount | None = Field(None, description="The same for all members of a family together.")
    out_of_pocket: Amount | None = Field(None, description="Most that the patient pays of what is covered.")
    family_out_of_pocket: Amount | None = Field(None, description="The same for a family.")
    annual: Amount | None = Field(None, description="Most that the plan pays in a year.")
    lifetime: Amount | None = Field(None, description="Most that the plan ever pays.")


class Plan(_Strict):
    """The rules of one plan from one day on."""

    plan: str = Field(
        description="Identifier of the InsurancePlan; Coverage.class of type plan names it.", min_length=1
    )
    version: str = Field(description="Version of this table.", min_length=1)
    title: str = Field("", description="Name for people.")
    payer: str = Field("", description="Identifier of the payer.")
    currency: str = Field(description="ISO 4217 code of all amounts.", pattern="^[A-Z]{3}$")
    effective_from: date = Field(description="First day of service to which it applies.")
    effective_to: date = Field(date.max, description="Last day of service to which it applies.")
    benefit_year: Literal["calendar", "coverage"] = Field("calendar", description="When tallies begin anew.")
    rounding: Mode = Field("half-up", description="How percentages are rounded to the smallest unit of the currency.")
    timely_filing_days: Days | None = Field(None, description="Days after the service within which to claim.")
    coordination: Literal["standard", "non-duplication", "none"] = Field(
        "standard", description="What it pays second: up to its own benefit, that less what others paid, or nothing."
    )
    balance_billing: bool = Field(True, description="Whether providers outside of the network may bill over the price.")
    price_factor: Annotated[Decimal, Field(gt=0, allow_inf_nan=False)] = Field(
        Decimal(1), description="Factor of all prices of the tariff: the market forces factor of the NHS, a locality."
    )
    network: Words = Field((), description="Identifiers of the providers in the network; none: all providers.")
    known_codes_only: bool = Field(False, description="Whether claims with codes of no row are refused, not denied.")
    over_limit: Group = Field("PR", description="Who bears what is over a limit.")
    liability: dict[str, Group] = Field({}, description="Who bears a reason, where it is not the usual one.")
    limits: Limits = Field(Limits.model_validate({}), description="Deductibles, maxima and limits.")
    benefits: tuple[Benefit, ...] = Field(
        description="The benefits table, or the name of a CSV file beside.", min_length=1
    )
    tariff: tuple[Price, ...] = Field((), description="The tariff, or the name of a CSV file beside.")
    bundles: tuple[Bundle, ...] = Field((), description="Bundling edits, or the name of a CSV file beside.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.effective_to < self.effective_from:
            raise ValueError("effective_to is before effective_from")
        if unknown := sorted(set(self.liability) - set(REASONS)):
            raise ValueError(f"liability: no such reason: {', '.join(unknown)}")
        return self

    @property
    def name(self) -> str:
        """Plan and version."""
        return f"{self.plan}|{self.version}"
