"""The structural validator: everything in a resource that R4 does not allow, with its place."""

from functools import cache

from fhir_server.definitions import Definitions, load
from fhir_server.errors import Issue
from fhir_server.validation.findings import Enough, Findings
from fhir_server.validation.structure.plan import Plan
from fhir_server.validation.structure.primitives import shorten
from fhir_server.validation.structure.shapes import FastRoad
from fhir_server.validation.structure.walker import Walker


class Validator:
    """Checks parsed JSON (`model.json.decode`) against definitions; safe to share between threads.

    A good resource costs microseconds; findings are only looked for in a bad one. See docs/adr/0006-validation.md.
    """

    def __init__(self, definitions: Definitions) -> None:
        self.plan = Plan(definitions)
        self.road = FastRoad(self.plan)

    def check(self, resource: object, type: str | None = None, *, transaction: bool = False) -> list[Issue]:
        """Every structural fault of a resource, each with a FHIRPath expression; empty when it is good.

        `type` is the resource type that the URL names. `transaction` is for an entry of a transaction whose conditional
        references (`Patient?identifier=x`) are not resolved yet.

        Spec: https://hl7.org/fhir/R4/validation.html
        """
        if self.road.good(resource, transaction) and (type is None or resource["resourceType"] == type):  # type: ignore[index]
            return []
        return self.findings(resource, type, transaction=transaction)

    def findings(self, resource: object, type: str | None = None, *, transaction: bool = False) -> list[Issue]:
        """As `check`, without the fast road."""
        found = Findings()
        try:
            self._expected_type(resource, type, found)
            Walker(self.plan, found).root(resource, transaction)
        except Enough:
            pass
        except RecursionError:
            found.issues.append(Issue("the resource is nested too deeply", "too-costly"))
        return found.issues

    def _expected_type(self, resource: object, type: str | None, found: Findings) -> None:
        actual = resource.get("resourceType") if isinstance(resource, dict) else None
        if type is not None and isinstance(actual, str) and actual != type:
            found.add(
                "structure",
                actual if actual in self.plan.resource_types else "Resource",
                f"resourceType is {shorten(actual)}, but the URL names {type}",
            )


@cache
def structure_validator() -> Validator:
    """The validator of the installed R4 definitions, one for each process."""
    return Validator(load())
