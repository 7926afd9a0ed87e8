"""The name of a resource within one tenant."""

import re
from typing import NamedTuple

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)


class ResourceKey(NamedTuple):
    """Type and logical id, such as `Patient/123`. Spec: https://hl7.org/fhir/R4/resource.html#id"""

    type: str
    id: str

    def __str__(self) -> str:
        return f"{self.type}/{self.id}"


def is_id(text: str) -> bool:
    """Tell whether `text` has the form of a FHIR id."""
    return ID.fullmatch(text) is not None
