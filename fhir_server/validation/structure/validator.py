"""Structure alone: whether a resource has the shape that R4 gives to it; microseconds for a good one."""

from contextlib import suppress
from functools import cache

from fhir_server.definitions import Definitions, load
from fhir_server.errors import Issue
from fhir_server.validation.findings import Enough, Findings
from fhir_server.validation.structure.plan import Plan
from fhir_server.validation.structure.primitives import shorten
from fhir_server.validation.structure.shapes import FastRoad
from fhir_server.validation.structure.walker import Walker


class StructureValidator:
    """Checks parsed JSON (`model.json.decode`) against definitions; safe to share between threads.

    Findings are only looked for in a bad resource. See docs/adr/0006-validation.md.
    """

    def __init__(self, definitions: Definitions) -> None:
        self.plan = Plan(definitions)
        self.road = FastRoad(self.plan)

    def good(self, resource: object, type: str | None = None, *, transaction: bool = False) -> bool:
        """Whether there is nothing to find."""
        return self.road.good(resource, transaction) and (type is None or resource["resourceType"] == type)  # type: ignore[index]

    def check(self, resource: object, type: str | None = None, *, transaction: bool = False) -> list[Issue]:
        """Every structural fault of a resource, each with a FHIRPath expression; empty when it is good.

        `type` is the resource type that the URL names. `transaction` is for an entry of a transaction whose conditional
        references (`Patient?identifier=x`) are not resolved yet.

        Spec: https://hl7.org/fhir/R4/validation.html
        """
        return [] if self.good(resource, type, transaction=transaction) else self.findings(resource, type, transaction)

    def findings(self, resource: object, type: str | None = None, transaction: bool = False) -> list[Issue]:
        """As `check`, without the fast road."""
        found = Findings()
        with suppress(Enough):
            self.collect(resource, type, found, transaction)
        return found.issues

    def collect(self, resource: object, type: str | None, found: Findings, transaction: bool) -> None:
        """Add every structural fault to what was found.

        Raises:
            Enough: there are as many as anybody wants to read.
        """
        self._expected_type(resource, type, found)
        try:
            Walker(self.plan, found).root(resource, transaction)
        except RecursionError:
            found.add("too-costly", "Resource", "the resource is nested too deeply")

    def _expected_type(self, resource: object, type: str | None, found: Findings) -> None:
        actual = resource.get("resourceType") if isinstance(resource, dict) else None
        if type is not None and isinstance(actual, str) and actual != type:
            found.add(
                "structure",
                actual if actual in self.plan.resource_types else "Resource",
                f"resourceType is {shorten(actual)}, but the URL names {type}",
            )


@cache
def structure_of(definitions: Definitions) -> StructureValidator:
    """The validator of definitions: one for each process, for what it learns of shapes is good for all."""
    return StructureValidator(definitions)


def structure_validator() -> StructureValidator:
    """The validator of the installed R4 definitions."""
    return structure_of(load())
