"""FHIR XML to JSON.

Spec: https://hl7.org/fhir/R4/xml.html, https://hl7.org/fhir/R4/json.html
"""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import msgspec
from lxml import etree

from fhir_server.api.xml.parser import divs, parse
from fhir_server.api.xml.shapes import FHIR, XHTML, Field, Shapes, shapes_of
from fhir_server.definitions import Definitions
from fhir_server.errors import BadXml
from fhir_server.model.json import encode

_PREFIX = f"{{{FHIR}}}"
_DIV = f"{{{XHTML}}}div"
_SCHEMA_INSTANCE = "{http://www.w3.org/2001/XMLSchema-instance}"
_PLAIN_DIV = re.compile(rf"""<div\s[^>]*?\bxmlns\s*=\s*["']{re.escape(XHTML)}["']""")
_NUMBERS = {
    "integer": re.compile(r"-?(?:0|[1-9]\d*)", re.ASCII),
    "decimal": re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII),
}
_BOOLEANS = {"true": True, "false": False}
_SPACE = " \t\r\n"
_MOST_ATTRIBUTES = 50

Members = dict[str, Any]


def xml_to_json(raw: bytes, definitions: Definitions, max_depth: int = 100) -> bytes:
    """Convert a resource; values keep their characters and digits, comments go.

    What is wrong only by type or rule (a `boolean` of "yes") stays, as a string, for the validator to find.

    Raises:
        BadXml: not well-formed, or not FHIR: unknown, misplaced, repeated or empty elements, text between elements;
            says line and element.
        TooLarge: a value beyond what the parser takes.
    """
    root = parse(raw)
    return encode(_Reader(shapes_of(definitions), raw, max_depth).resource(root))


class _Reader:
    """One conversion; it keeps the path to where it is and takes the narratives from the source, one after another."""

    def __init__(self, shapes: Shapes, raw: bytes, max_depth: int) -> None:
        self._shapes = shapes
        self._raw = raw
        self._max_depth = max_depth
        self._path: list[str] = []
        self._divs: Iterator[str] | None = None

    def resource(self, element: "etree._Element") -> Members:
        """Read an element that is a resource."""
        name = _name(element)
        if not self._shapes.is_resource(name):
            raise self._error(element, f"<{_readable(str(element.tag))}> is not a resource of the namespace {FHIR}")
        if not self._path:
            self._path.append(name)
        return {"resourceType": name, **self._complex(element, self._shapes[name])}

    def _complex(self, element: "etree._Element", shape: Mapping[str, Field]) -> Members:
        found: Members = {}
        self._attributes(element, shape, found)
        self._children(element, shape, found)
        return found

    def _attributes(self, element: "etree._Element", shape: Mapping[str, Field], found: Members) -> None:
        if len(element.attrib) > _MOST_ATTRIBUTES:  # each is looked for among all: many would take hours
            raise self._error(element, f"{len(element.attrib)} attributes, and no element of FHIR has many")
        for key, value in element.attrib.items():
            name = str(key)
            field = shape.get(name)
            if field is not None and field.kind == "attribute":
                found[name] = str(value)
            elif not name.startswith(_SCHEMA_INSTANCE):
                raise self._error(element, f"unknown attribute {name!r}")

    def _children(self, element: "etree._Element", shape: Mapping[str, Field], found: Members) -> None:
        last = -1
        self._no_text(element, element.text)
        for child in element:
            field = self._field(child, shape, last, found)
            last = field.order
            self._path.append(field.name)
            if len(self._path) > self._max_depth:
                raise self._error(child, f"nested deeper than {self._max_depth} levels")
            self._read(child, field, found)
            self._path.pop()
            self._no_text(child, child.tail)
        _drop_empty(found, shape)

    def _field(self, child: "etree._Element", shape: Mapping[str, Field], last: int, found: Members) -> Field:
        name = "div" if child.tag == _DIV else _name(child)
        field = shape.get(name)
        if field is None or field.kind == "attribute" or (field.kind == "xhtml") != (child.tag == _DIV):
            raise self._error(child, f"unknown element <{_readable(str(child.tag))}>")
        if not field.many and (name in found or f"_{name}" in found):
            raise self._error(child, f"<{name}> may occur once only")
        if field.order < last:
            raise self._error(child, f"<{name}> is out of order: it belongs before what it follows")
        return field

    def _read(self, child: "etree._Element", field: Field, found: Members) -> None:
        if field.kind == "primitive":
            self._primitive(child, field, found)
            return
        value: object
        if field.kind == "complex":
            value = self._complex(child, self._shapes[field.shape])
        elif field.kind == "resource":
            value = self._inner_resource(child)
        else:
            value = self._narrative(child)
        if field.many:
            found.setdefault(field.name, []).append(value)
        else:
            found[field.name] = value

    def _primitive(self, child: "etree._Element", field: Field, found: Members) -> None:
        """Read a primitive; what it has beside its value goes under `_name`. Arrays of both stay in step by nulls."""
        text = child.get("value")
        extra = None if text is not None and len(child.attrib) == 1 and not len(child) else self._extra(child, field)
        self._no_text(child, child.text)
        if text is None and not extra:
            raise self._error(child, f"<{field.name}> has neither a value nor an extension")
        value = None if text is None else _value(str(text), field)
        if field.many:
            found.setdefault(field.name, []).append(value)
            found.setdefault(f"_{field.name}", []).append(extra or None)
            return
        if value is not None:
            found[field.name] = value
        if extra:
            found[f"_{field.name}"] = extra

    def _extra(self, child: "etree._Element", field: Field) -> Members:
        found: Members = {}
        shape = self._shapes[field.shape]
        if "value" in child.attrib:
            child.attrib.pop("value")
        self._attributes(child, shape, found)
        self._children(child, shape, found)
        return found

    def _inner_resource(self, child: "etree._Element") -> Members:
        self._no_text(child, child.text)
        if len(child) != 1 or child.attrib:
            raise self._error(child, "here stands exactly one resource")
        self._no_text(child, child[0].tail)
        return self.resource(child[0])

    def _narrative(self, child: "etree._Element") -> str:
        """Return the XHTML, character for character where it can stand alone."""
        if self._divs is None:
            self._divs = divs(self._raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n"))
        source = next(self._divs)
        parent = child.getparent()
        outer = () if parent is None else parent.nsmap
        if _PLAIN_DIV.match(source) and not any(prefix and f"{prefix}:" in source for prefix in outer):
            return source.replace("&#xD;", "\r")
        alone = deepcopy(child)
        etree.cleanup_namespaces(alone)
        return etree.tostring(alone, encoding="unicode", with_tail=False)

    def _no_text(self, element: "etree._Element", text: str | None) -> None:
        if text and text.strip(_SPACE):
            raise self._error(element, "there is text where only elements may be; values go into the value attribute")

    def _error(self, element: "etree._Element", text: str) -> BadXml:
        path = ".".join(self._path)
        return BadXml(f"line {element.sourceline}, {path or 'root'}: {text}", expression=path or "http.body")


def _name(element: "etree._Element") -> str:
    """Return the name of an element in the namespace of FHIR; no element of FHIR has an empty one."""
    tag = str(element.tag)
    return tag[len(_PREFIX) :] if tag.startswith(_PREFIX) else ""


def _value(text: str, field: Field) -> object:
    """Give a value its JSON type; numbers keep their digits."""
    if field.lexical == "string":
        return text
    trimmed = text.strip(_SPACE)
    if field.lexical == "boolean":
        return _BOOLEANS.get(trimmed, text)
    return msgspec.Raw(trimmed.encode()) if _NUMBERS[field.lexical].fullmatch(trimmed) else text


def _drop_empty(found: Members, shape: Mapping[str, Field]) -> None:
    """Remove arrays of nothing but nulls. Spec: https://hl7.org/fhir/R4/json.html#primitive"""
    companions = [name for name, value in found.items() if name[0] == "_" and isinstance(value, list)]
    for companion in companions:
        if not any(found[companion]):
            del found[companion]
        elif all(value is None for value in found[companion[1:]]):
            del found[companion[1:]]


def _readable(tag: str) -> str:
    namespace, _, name = tag.removeprefix("{").partition("}")
    if not name:
        return f"{namespace} of no namespace"
    return name if namespace == FHIR else f"{name} of the namespace {namespace[:80]!r}"
