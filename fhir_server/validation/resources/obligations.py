"""Obligations of profiles: what a profile inherits them from is an obligation profile of the same base.

Spec: https://hl7.org/fhir/R5/obligations.html
"""

from collections.abc import Mapping
from typing import Any

from fhir_server.validation.place import Place
from fhir_server.validation.resources.values import choice, extension, objects
from fhir_server.validation.run import Run
from fhir_server.validation.structure.primitives import shorten

Json = Mapping[str, Any]

_CORE = "http://hl7.org/fhir/StructureDefinition/"
_INHERIT = f"{_CORE}inherit-obligations"
_FLAGS = (f"{_CORE}obligation-profile-flag", f"{_CORE}obligation-profile")


def check(definition: Json, place: Place, run: Run) -> None:
    """Check every `inherit-obligations` of a StructureDefinition."""
    for index, one in objects(definition, "extension"):
        value = choice(one, "value") if one.get("url") == _INHERIT else None
        if value is None or not isinstance(value.json, str):
            continue
        at, entry = Place(place, "extension", index), run.knowledge.library.find("StructureDefinition", value.json)
        if entry is None:
            run.warn(at, "not-found", f"the profile {shorten(value.json)} is not known here")
            continue
        source = entry.parse()
        if not any(flag is not None and flag.json is True for flag in (extension(source, url) for url in _FLAGS)):
            run.error(at, "invalid", f"the profile {shorten(value.json)} is not marked as an obligation profile")
        elif source.get("baseDefinition") != definition.get("baseDefinition"):
            run.error(at, "invalid", f"the profile {shorten(value.json)} has another base")
