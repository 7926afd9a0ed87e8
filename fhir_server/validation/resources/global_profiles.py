"""Profiles that a loaded ImplementationGuide asks of every resource of a type.

Spec: https://hl7.org/fhir/R4/implementationguide-definitions.html#ImplementationGuide.global
"""

from collections.abc import Mapping
from typing import Any

from fhir_server.validation import profiles
from fhir_server.validation.place import Place
from fhir_server.validation.resources.values import objects, text
from fhir_server.validation.run import Knowledge, Run

Json = Mapping[str, Any]

_KEPT = "resources.global_profiles"


def check(resource: Json, place: Place, run: Run) -> None:
    """Check a resource against the global profiles of its type."""
    for profile in _globals(run.knowledge).get(resource["resourceType"], ()):
        if profiles.known(profile, run):
            run.inform(place, "structure", f"checked against {profile[:300]}, which an implementation guide asks for")
            profiles.check(resource, profile, place, run)


def _globals(knowledge: Knowledge) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] | None = knowledge.kept.get(_KEPT)
    if found is None:
        found = {}
        for entry in knowledge.library.all("ImplementationGuide"):
            for _, one in objects(entry.parse(), "global"):
                found.setdefault(text(one, "type"), []).append(text(one, "profile"))
        knowledge.kept[_KEPT] = found
    return found
