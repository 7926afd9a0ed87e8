"""A JSON Schema of R4 resources, made of the same definitions: what schema validators are measured with."""

from typing import Any

from fhir_server.definitions import Definitions, Element, ElementType

Json = dict[str, Any]

_TYPES: Json = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer"},
    "unsignedInt": {"type": "integer", "minimum": 0},
    "positiveInt": {"type": "integer", "minimum": 1},
    "decimal": {"type": "number"},
    "id": {"type": "string", "pattern": r"^[A-Za-z0-9\-\.]{1,64}$"},
    "date": {"type": "string", "pattern": r"^\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?$"},
    "dateTime": {"type": "string", "pattern": r"^\d{4}(-\d\d(-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?)?)?$"},
    "instant": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"},
    "code": {"type": "string", "pattern": r"^\S+( \S+)*$"},
    "uri": {"type": "string", "pattern": r"^\S+$"},
}


def json_schema(definitions: Definitions, resource_type: str) -> Json:
    """Return a schema of one resource type, with all types that it needs: closed objects, patterns, listed codes."""
    made: Json = {}
    open_ = [resource_type]
    while open_:
        key = open_.pop()
        if key not in made:
            made[key] = _object(definitions, key)
            open_ += [ref.rpartition("/")[2] for ref in _refs(made[key])]
    return {"$ref": f"#/$defs/{resource_type}", "$defs": made}


def _refs(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [ref for item in value.values() for ref in _refs(item)]
    return []


def _object(definitions: Definitions, key: str) -> Json:
    definition = definitions.types[key]
    properties: Json = {"resourceType": {"const": key}} if definition.kind == "resource" else {}
    for element in definition.elements:
        for name, of in element.json_names.items():
            properties[name] = _listed(element, _value(definitions, element, of))
            properties[f"_{name}"] = {}
    required = [element.name for element in definition.elements if element.min and not element.choice]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _listed(element: Element, one: Json) -> Json:
    many = element.max is None or element.max > 1
    return {"type": "array", "items": one, "minItems": 1} if many else one


def _value(definitions: Definitions, element: Element, of: ElementType | None) -> Json:
    if element.type_key:
        return {"$ref": f"#/$defs/{element.type_key}"}
    code = of.code if of else "string"
    kind = definitions.types[code].kind
    if kind == "resource":
        return {"type": "object"}
    if kind != "primitive-type":
        return {"$ref": f"#/$defs/{code}"}
    codes = definitions.required_codes.get(element.binding.value_set) if element.binding else None
    if codes and code == "code" and element.binding and element.binding.strength == "required":
        return {"enum": sorted(codes)}
    return dict(_TYPES.get(code, {"type": "string", "minLength": 1}))
