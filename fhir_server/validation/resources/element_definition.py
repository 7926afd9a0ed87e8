"""ElementDefinition: what may be said of an element by its type and by where it stands.

Spec: https://hl7.org/fhir/R4/elementdefinition.html#interpretation
"""

from collections.abc import Mapping
from typing import Any

from fhir_server.fhirpath import FhirPathError, parse
from fhir_server.validation.place import Place
from fhir_server.validation.resources.values import choice, objects, text
from fhir_server.validation.run import Run
from fhir_server.validation.structure.primitives import shorten

Json = Mapping[str, Any]

_TEXTS = frozenset(
    ("string", "markdown", "code", "id", "uri", "url", "canonical", "oid", "uuid", "base64Binary", "xhtml")
)
_NUMBERS = ("integer", "unsignedInt", "positiveInt", "integer64", "decimal")
_QUANTITIES = ("Quantity", "Age", "Count", "Distance", "Duration", "Money")
_ORDERED = frozenset((*_NUMBERS, *_QUANTITIES, "date", "dateTime", "instant", "time"))
_LINKS = frozenset(("Reference", "canonical", "CodeableReference", "uri"))
_ROOT = ("sliceName", "slicing", "requirements", "meaningWhenMissing", "maxLength")
_ROOT_CHOICES = ("defaultValue", "fixed", "pattern", "minValue", "maxValue")


def check(element: Json, place: Place, run: Run) -> None:
    """Check an element of a differential or a snapshot by itself."""
    _check_slicing(element, place, run)
    for index, constraint in objects(element, "constraint"):
        fault = _syntax(text(constraint, "expression"))
        if fault:
            run.error(Place(place, "constraint", index), "invalid", f"the expression is not FHIRPath: {fault}")
    types = types_of(element)
    for _, one in objects(element, "type"):
        code = text(one, "code")
        if "targetProfile" in one and code in run.knowledge.definitions.types and code not in _LINKS:
            run.error(place, "business-rule", f"a {code} has no target, so it has no targetProfile")
    if types and all(one in run.knowledge.definitions.types for one in types):
        _check_limits(element, types, place, run)


def types_of(element: Json) -> set[str]:
    """Return the codes of the types; those of FHIRPath (`System.String`) without their namespace."""
    return {text(one, "code").rpartition("/")[2] for _, one in objects(element, "type")} - {""}


def _check_limits(element: Json, types: set[str], place: Place, run: Run) -> None:
    said = [("maxLength", _TEXTS, "maxLength" in element)]
    said += [(name, _ORDERED, choice(element, name) is not None) for name in ("minValue", "maxValue")]
    for name, fitting, given in said:
        if given and not types & fitting:
            run.error(place, "business-rule", f"{name} has no meaning for {', '.join(sorted(types))}")


def _check_slicing(element: Json, place: Place, run: Run) -> None:
    path = text(element, "path")
    if "slicing" not in element or "." not in path:
        return
    known = run.knowledge.definitions.element(path)
    if known is not None and known.max == 1 and not known.choice:
        run.error(Place(place, "slicing"), "not-found", f"{shorten(path)} does not repeat, so it cannot be sliced")


def _syntax(expression: str) -> str:
    try:
        if expression:
            parse(expression)
    except FhirPathError as error:
        return str(error)[:300]
    return ""


def check_complete(element: Json, derivation: str, place: Place, run: Run) -> None:
    """Check what a snapshot must and must not say of an element.

    Spec: https://hl7.org/fhir/R4/elementdefinition.html#definition (the table of what may stand where)
    """
    is_root = "." not in text(element, "path")
    if is_root:
        choices = (name for name in _ROOT_CHOICES if choice(element, name) is not None)
        for name in (*(name for name in _ROOT if name in element), *choices):
            run.error(place, "exception", f"the root of a snapshot has no {name}")
    elif derivation == "specialization":
        for name in ("min", "max"):
            if name not in element:
                run.error(place, "exception", f"an element of a specialization has a {name}")
