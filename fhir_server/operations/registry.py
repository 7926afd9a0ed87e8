"""The operations that this server has, found by name, type and level."""

from collections.abc import Iterable

from fhir_server.context import Level
from fhir_server.definitions import OperationFacts
from fhir_server.operations.operation import CoreOperation


class Registry:
    """Operations by code; of several with one code, each has types of its own."""

    def __init__(self, operations: Iterable[CoreOperation]) -> None:
        self.operations = tuple(operations)
        self._by_code: dict[str, list[CoreOperation]] = {}
        for operation in self.operations:
            self._by_code.setdefault(operation.facts.code, []).append(operation)

    @property
    def facts(self) -> tuple[OperationFacts, ...]:
        """The facts of all, for the OpenAPI document and the CapabilityStatement."""
        return tuple(operation.facts for operation in self.operations)

    def find(self, name: str, type_: str | None, level: Level, /) -> CoreOperation | None:
        """Return the operation `$name` as called on the system, a type or an instance; None if there is none."""
        return next((one for one in self._by_code.get(name, ()) if _is_for(one.facts, type_, level)), None)


def _is_for(facts: OperationFacts, type_: str | None, level: Level) -> bool:
    if level == "system":
        return facts.system
    if type_ not in facts.resources and "Resource" not in facts.resources:
        return False
    return facts.type_level if level == "type" else facts.instance
