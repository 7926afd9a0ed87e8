"""Settings of the MCP server; docs/mcp.md shows them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(gt=0)]


class McpSettings(BaseModel):
    """Settings of `[plugins.fhir_mcp]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow_writes: bool = Field(False, description="Whether there are tools that create, update and delete.")
    max_result: Positive = Field(
        60_000, description="Most characters of one result; longer ones are shortened and say so."
    )
    max_body: Positive = Field(1_000_000, description="Largest request, in bytes.")
    default_count: Positive = Field(10, description="Resources in a page of a search or history.")
    max_count: Positive = Field(50, description="Most resources in a page of a search or history.")
    summary_resources: Positive = Field(2_000, description="Most resources that a patient summary is made of.")
    summary_lines: Positive = Field(15, description="Most lines for each type in a patient summary.")
    narrative: bool = Field(False, description="Whether results keep the narrative (`text`), which repeats the data.")
