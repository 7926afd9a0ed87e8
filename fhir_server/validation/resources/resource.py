"""The rules that a resource has by its type, and those that all have."""

from collections.abc import Mapping
from typing import Any

from fhir_server.validation.place import Place
from fhir_server.validation.resources import (
    bundle,
    capability_statement,
    code_system,
    concept_map,
    global_profiles,
    identity,
    implementation_guide,
    measure,
    measure_report,
    narrative,
    questionnaire,
    questionnaire_response,
    search_parameter,
    structure_definition,
    value_set,
)
from fhir_server.validation.run import Check, Run

_BY_TYPE: Mapping[str, Check] = {
    "Bundle": bundle.check,
    "CapabilityStatement": capability_statement.check,
    "CodeSystem": code_system.check,
    "ConceptMap": concept_map.check,
    "ImplementationGuide": implementation_guide.check,
    "Measure": measure.check,
    "MeasureReport": measure_report.check,
    "Questionnaire": questionnaire.check,
    "QuestionnaireResponse": questionnaire_response.check,
    "SearchParameter": search_parameter.check,
    "StructureDefinition": structure_definition.check,
    "ValueSet": value_set.check,
}


def check(resource: Any, place: Place, run: Run) -> None:
    """Check a resource, at the top, contained or in a Bundle; it may be misshapen, which others tell."""
    type_ = resource.get("resourceType") if isinstance(resource, dict) else None
    if not isinstance(type_, str):
        return
    identity.check(resource, place, run)
    if "text" in resource or type_ == "Composition":
        narrative.check(resource, place, run)
    global_profiles.check(resource, place, run)
    rule = _BY_TYPE.get(type_)
    if rule is not None:
        rule(resource, place, run)
