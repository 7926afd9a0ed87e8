"""The settings of codecs and rendering."""

from pydantic import BaseModel


class PixelSettings(BaseModel):
    """Names begin with the name of this part."""
