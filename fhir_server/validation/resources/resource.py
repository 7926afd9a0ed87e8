"""The rules that a resource has by its type."""

from collections.abc import Mapping
from typing import Any

from fhir_server.validation.place import Place
from fhir_server.validation.resources import bundle, questionnaire_response
from fhir_server.validation.run import Check, Run

_BY_TYPE: Mapping[str, tuple[Check, ...]] = {
    "Bundle": (bundle.check,),
    "QuestionnaireResponse": (questionnaire_response.check,),
}


def check(resource: Any, place: Place, run: Run) -> None:
    """Check a resource, at the top, contained or in a Bundle; it may be misshapen, which others tell."""
    type_ = resource.get("resourceType") if isinstance(resource, dict) else None
    for rule in _BY_TYPE.get(type_, ()) if isinstance(type_, str) else ():
        rule(resource, place, run)
