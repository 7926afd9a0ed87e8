"""The settings of imaging AI."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class ImagingAiSettings(BaseModel):
    """No model works unless it is named."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[str, ...] = Field(
        (),
        description="Names of the models that look at images as they arrive; `synthetic-nodules` is a demonstration.",
    )
    folder: str = Field("", description="Folder of models of the site, each in a folder of its own with its card.")
    keys: tuple[str, ...] = Field(
        (), description="Public keys (Ed25519, base64) that vouch for models of the site: `fhir-server models keygen`."
    )
    images: Annotated[int, Field(gt=0)] = Field(
        40, description="Most images of one study that a model looks at; further ones are left to people."
    )
    object_size: Annotated[int, Field(gt=0)] = Field(200_000_000, description="Largest image that a model looks at.")
    overlay: bool = Field(True, description="Whether the class activation map is stored as a secondary capture.")
