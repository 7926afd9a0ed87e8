"""The tests are written in R5: what they ask of an R4 server as R4, and what it answers as R5.

Spec: https://hl7.org/fhir/versions.html#extensions
"""

from collections.abc import Callable
from typing import Any

from fhir_server.definitions import load

Json = dict[str, Any]

_CROSS = "http://hl7.org/fhir/5.0/StructureDefinition/extension-"
_RELATIONSHIPS = {
    "related-to": "relatedto",
    "equivalent": "equivalent",
    "source-is-narrower-than-target": "wider",
    "source-is-broader-than-target": "narrower",
    "not-related-to": "disjoint",
}
_MODES = {"use-source-code": "provided"}
_DROPPED = frozenset(("text", "meta"))


def to_r4(resource: Json) -> Json:
    """Return a resource of the tests as R4 has it."""
    type_ = resource["resourceType"]
    made = _REWRITTEN.get(type_, lambda same: same)(resource)
    known = {name for element in load().types[type_].elements for name in element.json_names}
    known |= {f"_{name}" for name in known} | {"resourceType"}
    return {name: value for name, value in made.items() if name in known}


def _parameters(resource: Json) -> Json:
    return resource | {"parameter": [_parameter(item) for item in resource.get("parameter", ())]}


def _parameter(item: Json) -> Json:
    made = dict(item)
    if "resource" in made:
        made["resource"] = to_r4(made["resource"])
    if "part" in made:
        made["part"] = [_parameter(part) for part in made["part"]]
    if made.get("valueBoolean") in ("true", "false"):
        made["valueBoolean"] = made["valueBoolean"] == "true"
    return made


def _code_system(resource: Json) -> Json:
    made = {"status": "unknown"} | resource
    if "versionAlgorithmCoding" in resource:
        url = f"{_CROSS}CodeSystem.versionAlgorithm"
        extension = {"url": url, "valueCoding": resource["versionAlgorithmCoding"]}
        made["extension"] = [*resource.get("extension", ()), extension]
    return made


def _concept_map(resource: Json) -> Json:
    renamed = {"sourceScopeUri": "sourceUri", "targetScopeUri": "targetUri"}
    made = {renamed.get(name, name): value for name, value in resource.items()}
    made["group"] = [_group(group) for group in resource.get("group", ())]
    return made


def _group(group: Json) -> Json:
    made = dict(group)
    made["element"] = [
        element | {"target": [_related(target) for target in element.get("target", ())]}
        for element in group.get("element", ())
    ]
    if "unmapped" in group:
        unmapped = {name: value for name, value in group["unmapped"].items() if name != "relationship"}
        made["unmapped"] = unmapped | {"mode": _MODES.get(unmapped["mode"], unmapped["mode"])}
    return made


def _related(target: Json) -> Json:
    made = {name: value for name, value in target.items() if name != "relationship"}
    return made | {"equivalence": _RELATIONSHIPS[target["relationship"]]} if "relationship" in target else made


_REWRITTEN: dict[str, Callable[[Json], Json]] = {
    "Parameters": _parameters,
    "CodeSystem": _code_system,
    "ConceptMap": _concept_map,
}


def to_r5(answer: Json) -> Json:
    """Return an answer as the tests look at it: in R5, without narrative and meta, texts of many parts in order."""
    made = {name: value for name, value in answer.items() if name not in _DROPPED}
    if "expansion" in made:
        made["expansion"] = _lifted(made["expansion"], "ValueSet.expansion.property")
        made["expansion"] = _contains_of(made["expansion"])
    if made["resourceType"] == "Parameters":
        made["parameter"] = [_answered(item) for item in made.get("parameter", ())]
    if made["resourceType"] == "OperationOutcome":
        made["issue"] = [_plain(issue) for issue in made["issue"]]
    return made


def _answered(item: Json) -> Json:
    return item | {"resource": to_r5(item["resource"])} if "resource" in item else item


def _plain(issue: Json) -> Json:
    """Leave out `diagnostics`, which no test looks at."""
    return {name: value for name, value in issue.items() if name != "diagnostics"}


def _contains_of(holder: Json) -> Json:
    items = [_contains_of(_lifted(item, "ValueSet.expansion.contains.property")) for item in holder.get("contains", ())]
    return holder | {"contains": items} if items else holder


def _lifted(holder: Json, name: str) -> Json:
    """Make elements of the extensions that stand for them."""
    extensions = holder.get("extension", ())
    lifted = [_element(each) for each in extensions if each["url"] == _CROSS + name]
    kept = [each for each in extensions if each["url"] != _CROSS + name]
    made = {key: value for key, value in holder.items() if key != "extension"}
    return made | ({"extension": kept} if kept else {}) | ({"property": lifted} if lifted else {})


def _element(extension: Json) -> Json:
    """Make an element of an extension, whose parts are its members."""
    made: Json = {}
    for part in extension["extension"]:
        key = next((key for key in part if key.startswith("value")), None)
        if key is not None:
            made[key if part["url"] == "value" else part["url"]] = part[key]
    return made
