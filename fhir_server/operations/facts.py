"""What an operation takes and gives: facts of R4's own OperationDefinitions, and of ours, which are JSON beside them.

Spec: https://hl7.org/fhir/R4/operationdefinition.html
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

from fhir_server.definitions import OperationFacts, load
from fhir_server.definitions.model import OperationParameter
from fhir_server.model.json import decode

PLACE = "http://fhir-server.org/OperationDefinition/"


def r4(id_: str, *, affects_state: bool | None = None) -> OperationFacts:
    """Return the facts of an operation of the specification.

    R4 says of `$meta-add` that it does not affect state, though it writes a version: then `affects_state` says it.
    """
    facts = load().operations[id_]
    return facts if affects_state is None else replace(facts, affects_state=affects_state)


@cache
def own_definition(name: str) -> Mapping[str, Any]:
    """Return one of our OperationDefinitions: `reindex` is `reindex.json` in this folder."""
    text = files(__package__).joinpath(f"{name}.json").read_bytes()
    definition: Mapping[str, Any] = decode(text)
    return definition


def own(name: str) -> OperationFacts:
    """Return the facts of one of our OperationDefinitions."""
    return facts_of(own_definition(name))


def facts_of(definition: Mapping[str, Any]) -> OperationFacts:
    """Return the facts of an OperationDefinition."""
    return OperationFacts(
        code=definition["code"],
        name=definition["name"],
        url=definition["url"],
        system=definition["system"],
        type_level=definition["type"],
        instance=definition["instance"],
        resources=tuple(definition.get("resource", ("Resource",))),
        affects_state=definition["affectsState"],
        parameters=tuple(_parameters(definition.get("parameter", ()))),
        definition=definition,
    )


def _parameters(items: Iterable[Mapping[str, Any]]) -> Iterable[OperationParameter]:
    for item in items:
        yield OperationParameter(
            name=item["name"],
            use=item.get("use", "out"),
            min=item["min"],
            max=None if item["max"] == "*" else int(item["max"]),
            type=item.get("type"),
            parts=tuple(_parameters(item.get("part", ()))),
        )
