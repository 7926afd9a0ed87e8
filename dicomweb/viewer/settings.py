"""The settings of the viewer."""

from pydantic import BaseModel


class ViewerSettings(BaseModel):
    """Names begin with the name of this part."""
