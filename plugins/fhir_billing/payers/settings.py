"""The settings of one payer."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Kind = Literal["fhir", "pas", "sha", "nhia", "x12"]


class PayerSettings(BaseModel):
    """A payer that decides by itself. Times are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind = Field(description="fhir, pas (Da Vinci), sha (Kenya), nhia (Nigeria) or x12 (United States).")
    identifiers: tuple[str, ...] = Field(description="Identifiers or references of the Organizations that it is.")
    url: str = Field(description="Its FHIR endpoint, or where X12 interchanges are posted to.")
    token_url: str = Field("", description="Where an access token is got by client credentials; empty: none is sent.")
    client_id: str = Field("", description="Client id there.")
    client_secret: SecretStr = Field(SecretStr(""), description="Client secret there.")
    scope: str = Field("system/*.*", description="Scope that is asked for.")
    canonical: str = Field("", description="Base of its profiles; empty: that of the newest guide known.")
    sender: str = Field("", description="X12: our id as submitter (ISA06).")
    receiver: str = Field("", description="X12: the payer's id (ISA08).")
    provider_id: str = Field("", description="X12: our NPI, where the Organization has none.")
    usage: Literal["T", "P"] = Field("T", description="X12: T for test, P for production (ISA15).")
    inside: bool = Field(False, description="Whether it may lie in a private network, this machine included.")
