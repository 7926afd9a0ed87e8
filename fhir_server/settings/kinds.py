"""Kinds of numbers that settings are."""

from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]
