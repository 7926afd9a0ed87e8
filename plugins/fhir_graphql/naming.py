"""Names of fields that lead to resources: `Patient`, `PatientList`, `PatientConnection`, `PatientCreate`.

Spec: https://hl7.org/fhir/R4/graphql.html#searching
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from fhir_graphql.faults import QueryFault
from fhir_graphql.fields import Fields

Way = Literal["List", "Connection", "Create", "Update", "Delete", ""]


class Target(NamedTuple):
    """A type of resources, and what is to be done with it; nothing for a read."""

    type: str
    way: Way


def target_of(name: str, fields: Fields, ways: tuple[Way, ...]) -> Target | None:
    """What a name of a field means; None where it is none of these."""
    for way in ways:
        type_ = name.removesuffix(way) if way else name
        if name.endswith(way) and type_ in fields.facts.resource_types:
            return Target(type_, way)
    return None


def pairs_of(arguments: Mapping[str, Any], known: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Arguments as search parameters: `_` stands for `-` where there is no parameter of that name.

    A list is a parameter that is given several times, so all of it must hold.

    Raises:
        QueryFault: a value is no scalar.
    """
    found = []
    for name, value in arguments.items():
        code = name if name in known or name.startswith("_") else name.replace("_", "-")
        for each in value if isinstance(value, list) else [value]:
            if each is None:
                continue
            if isinstance(each, dict):
                raise QueryFault(f"{name} takes a text, a number, true or false")
            found.append((code, str(each).lower() if isinstance(each, bool) else str(each)))
    return found
