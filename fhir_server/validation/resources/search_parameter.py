"""SearchParameter: its expression, and what it is derived from.

Spec: https://hl7.org/fhir/R4/searchparameter.html
"""

import re
from collections.abc import Mapping
from typing import Any

from fhir_server.fhirpath import FhirPathError, parse
from fhir_server.validation.place import Place
from fhir_server.validation.resources.values import objects, strings, text
from fhir_server.validation.run import Run
from fhir_server.validation.structure.primitives import shorten

Json = Mapping[str, Any]

_root = re.compile(r"(?:^|\|)\s*\(*\s*([A-Z][A-Za-z]+)\.")
_COMPONENTS = 2
_ABSTRACT = ("Resource", "DomainResource")


def check(parameter: Json, place: Place, run: Run) -> None:
    """Check the expression and the derivation."""
    bases = [base for _, base in strings(parameter, "base")]
    expression = text(parameter, "expression")
    if expression:
        _check_expression(expression, bases, Place(place, "expression"), run)
    if text(parameter, "type") == "composite" and len(objects(parameter, "component")) < _COMPONENTS:
        run.error(place, "business-rule", f"a composite parameter must have at least {_COMPONENTS} components")
    derived = text(parameter, "derivedFrom").partition("|")[0]
    original = next((one for one in run.knowledge.definitions.search_parameters if one.url == derived), None)
    if original is None:
        return
    type_ = text(parameter, "type")
    if type_ and type_ != original.type:
        run.error(
            place, "business-rule", f"the type is {type_}, but {derived} that it is derived from is {original.type}"
        )
    for base in bases:
        if base not in original.base and not set(_ABSTRACT) & set(original.base):
            run.error(place, "business-rule", f"{base[:64]} is not a base of {derived} that this is derived from")


def _check_expression(expression: str, bases: list[str], place: Place, run: Run) -> None:
    try:
        parse(expression)
    except FhirPathError as error:
        run.error(place, "invalid", f"the expression is not FHIRPath: {str(error)[:300]}")
        return
    types = run.knowledge.definitions.types
    for name in _root.findall(expression):
        if name in types and name not in bases and name not in _ABSTRACT and not set(_ABSTRACT) & set(bases):
            run.error(
                place, "invalid", f"the expression starts with {shorten(name)}, which is none of {', '.join(bases)}"
            )
