"""Small value sets and code systems."""

from typing import Any

from fhir_server.model.json import encode
from fhir_server.model.keys import ResourceKey
from fhir_server.packages import Library, core_library
from fhir_server.terminology import Terminology

Json = dict[str, Any]

ANIMALS = "urn:animals"


def value_set(id_: str, *include: Json, exclude: list[Json] | None = None, **elements: Any) -> Json:
    """A ValueSet `urn:vs:{id}` that includes these."""
    compose: Json = {"include": list(include)} | ({"exclude": exclude} if exclude else {})
    named = {"resourceType": "ValueSet", "id": id_, "url": f"urn:vs:{id_}", "status": "active"}
    return named | ({"compose": compose} if include else {}) | elements


def code_system(id_: str, url: str, *concepts: Json, **elements: Any) -> Json:
    """A complete CodeSystem."""
    named = {"resourceType": "CodeSystem", "id": id_, "url": url, "status": "active", "content": "complete"}
    return named | {"concept": list(concepts)} | elements


def concept(code: str, *below: Json, **properties: str) -> Json:
    """A concept with the concepts within it and its properties, as codes."""
    found: Json = {"code": code}
    if properties:
        found["property"] = [{"code": name, "valueCode": value} for name, value in properties.items()]
    return found | ({"concept": list(below)} if below else {})


def concepts(system: str, *codes: str) -> Json:
    """An include of codes by name."""
    return {"system": system, "concept": [{"code": code} for code in codes]}


def filtered(op: str, value: str, property_: str = "concept", system: str = ANIMALS) -> Json:
    """An include by one filter."""
    return {"system": system, "filter": [{"property": property_, "op": op, "value": value}]}


def library(*resources: Json) -> Library:
    """A library of these over that of R4."""
    return Library((), core_library()).changed(
        (ResourceKey(each["resourceType"], each["id"]), encode(each)) for each in resources
    )


def terminology(*resources: Json, most: int = 5_000) -> Terminology:
    """The service over these and the code system of animals."""
    return Terminology(library(animals(), *resources), most)


def animals() -> Json:
    """Dogs and cats are mammals, a poodle is a dog; by property, a bat is a mammal and flies, as a tit does."""
    mammals = concept(
        "mammal", concept("dog", concept("poodle", size="small"), size="any"), concept("cat", size="small")
    )
    bat, tit = concept("bat", parent="mammal", moves="flight"), concept("tit", moves="flight", subsumedBy="bird")
    return code_system("animals", ANIMALS, mammals, bat, tit, concept("bird"))


def parameters(**values: Any) -> Json:
    """A Parameters resource; a list is a parameter several times, `__` a hyphen."""
    made: list[Json] = []
    for name, value in values.items():
        for each in value if isinstance(value, list) else [value]:
            made.append({"name": name.replace("__", "-"), _kind(each): each})
    return {"resourceType": "Parameters", "parameter": made}


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "valueBoolean"
    if isinstance(value, int):
        return "valueInteger"
    if isinstance(value, str):
        return "valueString"
    if "resourceType" in value:
        return "resource"
    return "valueCodeableConcept" if "coding" in value else "valueCoding"
