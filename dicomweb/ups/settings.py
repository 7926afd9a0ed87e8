"""The settings of the worklist."""

from pydantic import BaseModel


class UpsSettings(BaseModel):
    """Names begin with the name of this part."""
