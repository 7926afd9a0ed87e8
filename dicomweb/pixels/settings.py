"""The settings of codecs and rendering."""

from typing import Annotated

from pydantic import BaseModel, Field


class PixelSettings(BaseModel):
    """Names begin with the name of this part."""

    pixels_workers: Annotated[int, Field(gt=0)] = Field(
        2, description="Worker processes for codecs, in each process of the server."
    )
    pixels_timeout: Annotated[float, Field(gt=0)] = Field(
        30.0, description="Seconds after which work on pixels is broken off and its worker replaced."
    )
    pixels_memory: Annotated[int, Field(ge=0)] = Field(
        3_000_000_000, description="Most bytes of address space of a worker; 0: no limit."
    )
    pixels_waiting: Annotated[int, Field(ge=0)] = Field(
        200, description="Most pieces of work on pixels that wait for a worker; more are refused."
    )
    pixels_quality: Annotated[int, Field(ge=1, le=100)] = Field(
        90, description="Quality of pixels that are transcoded to a lossy transfer syntax."
    )
    pixels_frames: Annotated[int, Field(gt=0)] = Field(
        600, description="Most frames of one animation or film; those after them are left out."
    )
    pixels_most: Annotated[int, Field(gt=0)] = Field(
        500_000_000,
        description="Most bytes of one frame, of the frames of one film, or of one document, that is shown.",
    )
    pixels_here: Annotated[int, Field(ge=0)] = Field(
        8_000_000,
        description="Uncompressed frames up to so many bytes are rendered in a thread of the server; larger ones, and "
        "all that need a codec, in a worker.",
    )
