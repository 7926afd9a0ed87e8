"""Where an extension may be used, as its definition says it.

Spec: https://hl7.org/fhir/R4/defining-extensions.html#context
"""

import re
from collections.abc import Mapping
from typing import Any

from fhir_server.validation.place import Place
from fhir_server.validation.resources.values import objects, strings, text
from fhir_server.validation.run import Run
from fhir_server.validation.structure.primitives import shorten

Json = Mapping[str, Any]

_BASE = "http://hl7.org/fhir/StructureDefinition/"
_path = re.compile(r"[A-Za-z]\w*(?:\.\w+)*(?:\[x\])?")


def check(definition: Json, place: Place, run: Run) -> None:
    """Check the contexts of a StructureDefinition."""
    is_extension = text(definition, "type") == "Extension"
    for index, context in objects(definition, "context"):
        at = Place(place, "context", index)
        if not is_extension:
            run.error(at, "invalid", "only an extension has a context")
        elif context.get("type") == "element" and "extension" not in context:
            _check_element(text(context, "expression"), at, run)
    for index, _ in strings(definition, "contextInvariant"):
        if not is_extension:
            run.error(Place(place, "contextInvariant", index), "invalid", "only an extension has a context")


def _check_element(path: str, place: Place, run: Run) -> None:
    if path == "Element":
        run.warn(place, "business-rule", "an extension of any element: is it really for use anywhere?")
    elif _path.fullmatch(path) and not _known(path, run):
        run.error(place, "invalid", f"there is no element {shorten(path)}")


def _known(path: str, run: Run) -> bool:
    definitions = run.knowledge.definitions
    if path in definitions.types or definitions.element(path) is not None:
        return True
    return run.knowledge.library.find("StructureDefinition", f"{_BASE}{path}") is not None
