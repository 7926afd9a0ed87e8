"""What sections of the settings are made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]


class Section(BaseModel):
    """A part of the settings; it is checked with the whole alone, so nothing is built for it."""

    model_config = ConfigDict(defer_build=True)
