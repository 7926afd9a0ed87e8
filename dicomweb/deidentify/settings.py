"""The settings of de-identification."""

from typing import Annotated, Any

from pydantic import BaseModel, Field


class DeidentifySettings(BaseModel):
    """Names begin with the name of this part."""

    deidentify_boxes: tuple[dict[str, Any], ...] = Field(
        (),
        description="Rules of the site for text that is burnt into images, before those that come with the server: "
        '`{"if": {"Modality": "US", "Rows": 600}, "boxes": [[0, 0, 800, 60]]}`, boxes as left, top, width, height.',
    )
    deidentify_object: Annotated[int, Field(gt=0)] = Field(
        1_000_000_000, description="Largest object that is de-identified, for it is held in memory."
    )
    deidentify_at_once: Annotated[int, Field(gt=0)] = Field(
        500, description="Most instances of an export without identity while the caller waits; more are a job."
    )
