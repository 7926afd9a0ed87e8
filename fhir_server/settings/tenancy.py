"""Settings: tenants and regions."""

from typing import Annotated

from pydantic import Field

from fhir_server.settings.kinds import Positive, Section


class Tenancy(Section):
    """Tenants and regions."""

    tenant_hosts: tuple[Annotated[str, Field(pattern=r"^[^=\s:]+=[a-z0-9][a-z0-9_-]{0,62}$")], ...] = Field(
        (), description="Hosts that serve a tenant at `/fhir`, as `clinic.example=clinic`, besides those of its own."
    )
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{0,32}$")] = Field(
        "", description="Where this server's data lie, as `eu`: tenants that are bound to another region get 421 here."
    )
    region_urls: tuple[Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}=https?://\S+$")], ...] = Field(
        (), description="Public URLs of the other regions, as `us=https://us.example/fhir`; who is sent on is told."
    )
    tenants_open: Positive = Field(32, description="Most tenants, beside the default one, open at once in a process.")
    tenant_idle: Positive = Field(300, description="Seconds without a request after which a tenant is closed.")
