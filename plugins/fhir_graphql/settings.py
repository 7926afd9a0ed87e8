"""Settings of the plugin."""

from pydantic import BaseModel, ConfigDict, Field


class GraphqlSettings(BaseModel):
    """Settings of `fhir_graphql`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_depth: int = Field(20, ge=1, description="Levels of fields within each other.")
    max_fields: int = Field(
        2_000, ge=1, description="Fields and fragments of a query, those of fragments each time they are spread."
    )
    max_tokens: int = Field(20_000, ge=1, description="Tokens of a query.")
    max_searches: int = Field(200, ge=1, description="Searches of one query: lists, connections, reverse references.")
    max_resources: int = Field(10_000, ge=1, description="Resources that one query may read.")
    max_values: int = Field(500_000, ge=1, description="Values that one answer may have.")
    max_seconds: float = Field(30, gt=0, description="Seconds that one query may take.")
    at_once: int = Field(8, ge=1, description="Searches of one query that run at the same time.")
    introspection: bool = Field(True, description="Whether the schema may be asked for (__schema, __type).")
    mutations: bool = Field(True, description="Whether mutations are done.")
