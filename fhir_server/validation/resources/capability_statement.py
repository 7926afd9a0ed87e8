"""CapabilityStatement: search parameters as they are defined.

Spec: https://hl7.org/fhir/R4/capabilitystatement-definitions.html#CapabilityStatement.rest.resource.searchParam
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.definitions import SearchParameterDefinition
from fhir_server.validation.place import Place
from fhir_server.validation.resources.values import objects, text
from fhir_server.validation.run import Knowledge, Run
from fhir_server.validation.structure.primitives import shorten

Json = Mapping[str, Any]

_KEPT = "resources.search_parameters"


def check(statement: Json, place: Place, run: Run) -> None:
    """Check the search parameters of every resource type, and those of all types."""
    known = _known(run.knowledge)
    for parameter, at in _parameters(statement, place):
        defined = known.get(text(parameter, "definition").partition("|")[0])
        type_ = text(parameter, "type")
        if defined is not None and type_ and type_ != defined.type:
            run.error(at, "invalid", f"the type is {shorten(type_)}, but {defined.url} is of type {defined.type}")


def _parameters(statement: Json, place: Place) -> Iterator[tuple[Json, Place]]:
    for number, rest in objects(statement, "rest"):
        here = Place(place, "rest", number)
        yield from ((one, Place(here, "searchParam", i)) for i, one in objects(rest, "searchParam"))
        for index, resource in objects(rest, "resource"):
            at = Place(here, "resource", index)
            yield from ((one, Place(at, "searchParam", i)) for i, one in objects(resource, "searchParam"))


def _known(knowledge: Knowledge) -> Mapping[str, SearchParameterDefinition]:
    found: dict[str, SearchParameterDefinition] | None = knowledge.kept.get(_KEPT)
    if found is None:
        found = {one.url: one for one in knowledge.definitions.search_parameters}
        knowledge.kept[_KEPT] = found
    return found
