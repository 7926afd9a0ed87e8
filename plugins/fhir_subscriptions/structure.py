"""SubscriptionTopic as a resource type, with the elements that R4B gives it.

Facts of https://hl7.org/fhir/R4B/subscriptiontopic.html (CC0).
"""

from typing import Any, Final

_URL: Final = "http://hl7.org/fhir/StructureDefinition/SubscriptionTopic"
_INHERITED: Final = (
    ("id", "0..1", "id", "Resource"), ("meta", "0..1", "Meta", "Resource"),
    ("implicitRules", "0..1", "uri", "Resource"), ("language", "0..1", "code", "Resource"),
    ("text", "0..1", "Narrative", "DomainResource"), ("contained", "0..*", "Resource", "DomainResource"),
    ("extension", "0..*", "Extension", "DomainResource"), ("modifierExtension", "0..*", "Extension", "DomainResource"),
)  # fmt: skip
_BACKBONE: Final = (("id", "0..1", "string"), ("extension", "0..*", "Extension"),
                    ("modifierExtension", "0..*", "Extension"))  # fmt: skip
_OWN: Final = (
    ("url", "1..1", "uri"), ("identifier", "0..*", "Identifier"), ("version", "0..1", "string"),
    ("title", "0..1", "string"), ("derivedFrom", "0..*", "canonical"), ("status", "1..1", "code"),
    ("experimental", "0..1", "boolean"), ("date", "0..1", "dateTime"), ("publisher", "0..1", "string"),
    ("contact", "0..*", "ContactDetail"), ("description", "0..1", "markdown"), ("useContext", "0..*", "UsageContext"),
    ("jurisdiction", "0..*", "CodeableConcept"), ("purpose", "0..1", "markdown"), ("copyright", "0..1", "markdown"),
    ("approvalDate", "0..1", "date"), ("lastReviewDate", "0..1", "date"), ("effectivePeriod", "0..1", "Period"),
    ("resourceTrigger", "0..*", "BackboneElement"), ("resourceTrigger.description", "0..1", "markdown"),
    ("resourceTrigger.resource", "1..1", "uri"), ("resourceTrigger.supportedInteraction", "0..*", "code"),
    ("resourceTrigger.queryCriteria", "0..1", "BackboneElement"),
    ("resourceTrigger.queryCriteria.previous", "0..1", "string"),
    ("resourceTrigger.queryCriteria.resultForCreate", "0..1", "code"),
    ("resourceTrigger.queryCriteria.current", "0..1", "string"),
    ("resourceTrigger.queryCriteria.resultForDelete", "0..1", "code"),
    ("resourceTrigger.queryCriteria.requireBoth", "0..1", "boolean"),
    ("resourceTrigger.fhirPathCriteria", "0..1", "string"),
    ("eventTrigger", "0..*", "BackboneElement"), ("eventTrigger.description", "0..1", "markdown"),
    ("eventTrigger.event", "1..1", "CodeableConcept"), ("eventTrigger.resource", "1..1", "uri"),
    ("canFilterBy", "0..*", "BackboneElement"), ("canFilterBy.description", "0..1", "markdown"),
    ("canFilterBy.resource", "0..1", "uri"), ("canFilterBy.filterParameter", "1..1", "string"),
    ("canFilterBy.filterDefinition", "0..1", "uri"), ("canFilterBy.modifier", "0..*", "code"),
    ("notificationShape", "0..*", "BackboneElement"), ("notificationShape.resource", "1..1", "uri"),
    ("notificationShape.include", "0..*", "string"), ("notificationShape.revInclude", "0..*", "string"),
)  # fmt: skip
_CODES: Final = {
    "status": "http://hl7.org/fhir/ValueSet/publication-status",
}


def structure() -> dict[str, Any]:
    """Return the StructureDefinition."""
    elements = [{"id": "SubscriptionTopic", "path": "SubscriptionTopic", "min": 0, "max": "*",
                 "base": {"path": "SubscriptionTopic", "min": 0, "max": "*"}}]  # fmt: skip
    elements += [_element(name, often, kind, of) for name, often, kind, of in _INHERITED]
    for name, often, kind in _OWN:
        elements.append(_element(name, often, kind, "SubscriptionTopic"))
        if kind == "BackboneElement":
            elements += [_element(f"{name}.{each}", many, of, "Element") for each, many, of in _BACKBONE]
    return {
        "resourceType": "StructureDefinition", "id": "SubscriptionTopic", "url": _URL, "version": "4.3.0",
        "name": "SubscriptionTopic", "title": "Subscription Topic", "status": "active", "date": "2022-05-28",
        "publisher": "HL7 International", "description": "What may be subscribed to. Facts of FHIR R4B (CC0).",
        "fhirVersion": "4.0.1", "kind": "resource", "abstract": False, "type": "SubscriptionTopic",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/DomainResource", "derivation": "specialization",
        "snapshot": {"element": elements},
    }  # fmt: skip


def _element(name: str, often: str, kind: str, of: str) -> dict[str, Any]:
    least, _, most = often.partition("..")
    path = f"SubscriptionTopic.{name}"
    last = name.rpartition(".")[2]
    base = f"{of}.{last}" if of in ("Resource", "DomainResource", "Element") else path
    element: dict[str, Any] = {
        "id": path, "path": path, "min": int(least), "max": most, "type": [_type(name, kind)],
        "base": {"path": base, "min": int(least), "max": most},
    }  # fmt: skip
    if name in _CODES:
        element["binding"] = {"strength": "required", "valueSet": f"{_CODES[name]}|4.0.1"}
    if last in ("modifierExtension", "implicitRules"):
        element |= {"isModifier": True, "isModifierReason": "It may change the meaning of the resource"}
    return element


def _type(name: str, kind: str) -> dict[str, Any]:
    if name != "id" and not name.endswith(".id"):
        return {"code": kind}
    place = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
    said = "string"
    return {"code": "http://hl7.org/fhirpath/System.String", "extension": [{"url": place, "valueUrl": said}]}


def search_parameters() -> list[dict[str, Any]]:
    """Return the SearchParameters of topics."""
    kinds = {
        "url": ("uri", "url"), "title": ("string", "title"), "status": ("token", "status"),
        "version": ("token", "version"), "identifier": ("token", "identifier"), "date": ("date", "date"),
        "derived-or-self": ("uri", "url | SubscriptionTopic.derivedFrom"),
        "resource": ("uri", "resourceTrigger.resource"),
    }  # fmt: skip
    return [
        {
            "resourceType": "SearchParameter", "id": f"SubscriptionTopic-{code}", "name": code, "code": code,
            "url": f"http://hl7.org/fhir/SearchParameter/SubscriptionTopic-{code}", "status": "active",
            "description": f"{code} of a topic", "base": ["SubscriptionTopic"], "type": kind,
            "expression": f"SubscriptionTopic.{path}",
        }
        for code, (kind, path) in kinds.items()
    ]  # fmt: skip
