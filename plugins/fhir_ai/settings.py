"""The settings of clinical AI."""

from pydantic import BaseModel, ConfigDict, Field


class AiSettings(BaseModel):
    """One line of meaning each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: bool = Field(True, description="Whether models compute at all; scores and red flags stay when they do not.")
