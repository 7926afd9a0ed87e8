"""Parameters of a value set: expressions in the place of filter values.

Spec: https://build.fhir.org/ig/FHIR/fhir-tools-ig/StructureDefinition-valueset-parameter.html
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.validation.place import Place
from fhir_server.validation.resources.values import child, objects, text
from fhir_server.validation.run import Run
from fhir_server.validation.structure.primitives import shorten

Json = Mapping[str, Any]

_PARAMETER = "http://hl7.org/fhir/tools/StructureDefinition/valueset-parameter"
_EXPRESSION = "http://hl7.org/fhir/StructureDefinition/cqf-expression"
_variable = re.compile(r"%`?([A-Za-z0-9\-]+)`?")


def check_parameters(value_set: Json, place: Place, run: Run) -> None:
    """Check that filters use parameters that are declared, in a language that is known."""
    declared = {name: index for index, name in _declared(value_set)}
    used: set[str] = set()
    for expression, at in _expressions(value_set, place):
        language = text(expression, "language")
        if language != "text/fhirpath":
            run.error(at, "invalid", f"the language of a filter value is text/fhirpath, not {shorten(language)}")
            continue
        for name in _variable.findall(text(expression, "expression")):
            used.add(name)
            if name not in declared:
                run.error(at, "exception", f"{shorten(name)} is not a parameter of this value set")
    for name in declared.keys() - used:
        run.warn(
            Place(place, "extension", declared[name]), "business-rule", f"the parameter {shorten(name)} is not used"
        )


def _declared(value_set: Json) -> Iterator[tuple[int, str]]:
    for index, one in objects(value_set, "extension"):
        if one.get("url") == _PARAMETER:
            yield from (
                (index, text(part, "valueCode")) for _, part in objects(one, "extension") if part.get("url") == "name"
            )


def _expressions(value_set: Json, place: Place) -> Iterator[tuple[Json, Place]]:
    compose = child(value_set, "compose")
    for part, include in objects(compose, "include"):
        for index, one in objects(include, "filter"):
            at = Place(Place(Place(place, "compose"), "include", part), "filter", index)
            for number, extension in objects(child(one, "_value"), "extension"):
                if extension.get("url") == _EXPRESSION:
                    where = Place(Place(at, "extension", number), "value.ofType(Expression)")
                    yield child(extension, "valueExpression"), where
