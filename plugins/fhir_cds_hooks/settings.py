"""Settings of CDS Hooks; docs/cds_hooks.md shows them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(gt=0)]


class CdsHooksSettings(BaseModel):
    """Settings of `[plugins.fhir_cds_hooks]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    authentication: Literal["jwt", "none"] = Field(
        "jwt", description="Whether clients prove who they are; a server without authorization asks nobody."
    )
    clients: dict[str, str] = Field(
        {}, description="CDS clients that may call: the `iss` of their tokens, and the URL of their JWKS."
    )
    open_discovery: bool = Field(True, description="Whether the list of services is shown to everybody.")
    private_networks: bool = Field(
        False, description="Whether JWKS URLs may be in private networks and plain HTTP (development)."
    )
    fhir_servers: tuple[str, ...] = Field(
        (), description="Base URLs of other FHIR servers that missing prefetch may be fetched from."
    )
    token_life: Positive = Field(300, description="Most seconds from issue to expiry of a client's token.")
    service_timeout: Positive = Field(10, description="Seconds that a service may take.")
    fetch_timeout: Positive = Field(5, description="Seconds that another FHIR server may take for one prefetch.")
    max_prefetch: Positive = Field(5_000_000, description="Largest answer to one prefetch, in bytes.")
    max_feedback: Positive = Field(100, description="Most items in one feedback.")
