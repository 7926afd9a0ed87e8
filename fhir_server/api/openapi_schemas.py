"""JSON Schemas of resources for the OpenAPI document: each element with its JSON type, one level deep.

Deeper rules (nested elements, codes, invariants) are the validator's; a schema that has them all is HL7's own:
https://hl7.org/fhir/R4/fhir.schema.json.zip
"""

from typing import Any

from fhir_server.definitions import Definitions, Element, ElementType, TypeDefinition

Schema = dict[str, Any]

_JSON_TYPES = {"boolean": "boolean", "integer": "integer", "positiveInt": "integer", "unsignedInt": "integer"}
_LIMITS: dict[str, Schema] = {"positiveInt": {"minimum": 1}, "unsignedInt": {"minimum": 0}}
_PATTERNED = ("code", "date", "dateTime", "id", "instant", "oid", "time", "uuid")
_MAX_INT = 2**31 - 1


def ref(name: str) -> Schema:
    """Point to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def schemas(definitions: Definitions) -> dict[str, Schema]:
    """Return the schemas of all primitives and resources, by type."""
    found = {name: _primitive(definitions.types[name]) for name in _primitives(definitions)}
    for name in (*definitions.resource_types, "Parameters"):
        found[name] = _resource(definitions, definitions.types[name])
    found["Resource"] = {
        "type": "object",
        "required": ["resourceType"],
        "properties": {"resourceType": {"type": "string"}},
    }
    return found


def _primitives(definitions: Definitions) -> list[str]:
    return [name for name, found in definitions.types.items() if found.kind == "primitive-type"]


def _primitive(definition: TypeDefinition) -> Schema:
    if definition.name == "decimal":
        return {"type": "number"}
    if definition.name in _JSON_TYPES:
        limits = {} if definition.name == "boolean" else {"minimum": -_MAX_INT - 1, "maximum": _MAX_INT}
        return {"type": _JSON_TYPES[definition.name]} | limits | _LIMITS.get(definition.name, {})
    schema: Schema = {"type": "string", "minLength": 1}
    if definition.name in _PATTERNED and definition.regex:
        schema["pattern"] = f"^(?:{definition.regex})$"
    return schema


def _resource(definitions: Definitions, definition: TypeDefinition) -> Schema:
    properties: dict[str, Schema] = {"resourceType": {"type": "string", "enum": [definition.name]}}
    required = ["resourceType"]
    for element in definition.elements:
        for name, of in element.json_names.items():
            properties |= _property(definitions, element, name, of)
        # A primitive may be absent and explained by an extension; a choice has no one name.
        if (
            element.min
            and not element.choice
            and not _is_primitive(definitions, element.types[0] if element.types else None)
        ):
            required.append(element.name)
    return {
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": False,
        "externalDocs": {"url": f"https://hl7.org/fhir/R4/{definition.name.lower()}.html"},
    }


def _property(definitions: Definitions, element: Element, name: str, of: ElementType | None) -> dict[str, Schema]:
    if of is None or not _is_primitive(definitions, of):
        return {name: _many(element, {"type": "object", "minProperties": 1})}
    nullable = element.max != 1
    value: Schema = ref(of.code)
    companion: Schema = {"type": "object"}
    if nullable:
        value = {"anyOf": [value, {"type": "null"}]}
        companion = {"type": ["object", "null"]}
    return {name: _many(element, value), f"_{name}": _many(element, companion)}


def _many(element: Element, schema: Schema) -> Schema:
    return schema if element.max == 1 else {"type": "array", "items": schema, "minItems": 1}


def _is_primitive(definitions: Definitions, of: ElementType | None) -> bool:
    found = definitions.types.get(of.code) if of else None
    return found is not None and found.kind == "primitive-type"
