"""Read the XML inputs of the official FHIRPath tests into FHIR JSON; only as much as these few files need."""

from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from fhir_server import definitions
from fhir_server.definitions import Element

_FHIR = "{http://hl7.org/fhir}"
_NUMBERS = {"integer": int, "positiveInt": int, "unsignedInt": int, "decimal": Decimal, "boolean": "true".__eq__}


def read_xml(path: Path) -> dict[str, Any]:
    """The resource in an XML file, as JSON."""
    root = ElementTree.fromstring(path.read_bytes())
    name = root.tag.removeprefix(_FHIR)
    return {"resourceType": name, **_fields(root, name)}


def _fields(xml: ElementTree.Element, type_name: str) -> dict[str, Any]:
    types = definitions.load().types
    fields: dict[str, Any] = {key: value for key, value in xml.attrib.items() if key in ("id", "url")}
    for child in xml:
        key = child.tag.rpartition("}")[2]
        element = types[type_name].by_name[key]
        value, extra = _value(child, key, element)
        _put(fields, key, value, many=element.max is None)
        if extra:
            _put(fields, "_" + key, extra, many=element.max is None)
    return fields


def _put(fields: dict[str, Any], key: str, value: Any, *, many: bool) -> None:
    if many:
        fields.setdefault(key, []).append(value)
    elif value is not None:
        fields[key] = value


def _value(xml: ElementTree.Element, key: str, element: Element) -> tuple[Any, dict[str, Any] | None]:
    of = element.json_names[key]
    type_name = element.type_key or (of.code if of else "Resource")
    if type_name == "xhtml":
        return ElementTree.tostring(xml, encoding="unicode"), None
    if type_name == "Resource":
        name = xml[0].tag.removeprefix(_FHIR)
        return {"resourceType": name, **_fields(xml[0], name)}, None
    if definitions.load().types[type_name].kind == "primitive-type":
        text = xml.get("value")
        value = None if text is None else _NUMBERS.get(type_name, str)(text)
        return value, _fields(xml, type_name) or None
    return _fields(xml, type_name), None
