"""FHIR JSON to XML.

Spec: https://hl7.org/fhir/R4/xml.html
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from lxml import etree

from fhir_server.api.xml.parser import parse
from fhir_server.api.xml.shapes import FHIR, XHTML, Field, Shapes, shapes_of
from fhir_server.definitions import Definitions
from fhir_server.errors import BadXml

_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_SPECIAL = re.compile('[&<>"\t\n\r]')
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#x9;", "\n": "&#xA;", "\r": "&#xD;"}
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
_DIV_START = re.compile(r"<div(?=[\s/>])")


class _Number(str):
    """A number with the digits that it came with."""


_decoder = msgspec.json.Decoder(float_hook=_Number)


def json_to_xml(raw: bytes, definitions: Definitions, *, pretty: bool = False) -> bytes:
    """Convert a resource as it is stored; elements come in the order of the definitions.

    Raises:
        BadXml: not a resource, an unknown element, or characters that XML cannot hold.
    """
    try:
        value = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadXml("the resource is not JSON") from None
    writer = _Writer(shapes_of(definitions), pretty)
    writer.resource(value, f' xmlns="{FHIR}"')
    return (_DECLARATION + "".join(writer.out)).encode()


class _Writer:
    """One conversion: what is written so far, and the path to where it is."""

    def __init__(self, shapes: Shapes, pretty: bool) -> None:
        self.out: list[str] = []
        self._shapes = shapes
        self._pretty = pretty
        self._path: list[str] = []

    def resource(self, value: object, attributes: str = "") -> None:
        """Write a resource as an element of its type."""
        name = value.get("resourceType") if isinstance(value, dict) else None
        if not isinstance(value, dict) or not self._shapes.is_resource(name):
            raise self._error("not a resource")
        self._path.append(str(name))
        self._element(str(name), attributes, {k: v for k, v in value.items() if k != "resourceType"}, str(name))
        self._path.pop()

    def _element(self, tag: str, attributes: str, value: Mapping[str, Any], shape: str) -> None:
        """Write an element with all that is below it."""
        fields = self._shapes[shape]
        names = self._in_order(value, fields)
        attributes += "".join(
            f' {name}="{self._escaped(value[name])}"' for name in names if fields[name].kind == "attribute"
        )
        children = [name for name in names if fields[name].kind != "attribute"]
        self._line(f"<{tag}{attributes}>" if children else f"<{tag}{attributes}/>")
        for name in children:
            self._path.append(name)
            self._property(value, fields[name])
            self._path.pop()
        if children:
            self._line(f"</{tag}>")

    def _in_order(self, value: Mapping[str, Any], fields: Mapping[str, Field]) -> list[str]:
        names = {self._known(key, fields): None for key in value}
        return sorted(names, key=lambda name: fields[name].order)

    def _known(self, key: str, fields: Mapping[str, Field]) -> str:
        field = fields.get(key)
        if field is not None:
            return key
        field = fields.get(key[1:]) if key[:1] == "_" else None
        if field is None or field.kind != "primitive":
            raise self._error(f"unknown element {key[:80]!r}")
        return key[1:]

    def _property(self, owner: Mapping[str, Any], field: Field) -> None:
        value = owner.get(field.name)
        if field.kind == "primitive":
            for one, extra in self._pairs(owner, field):
                self._primitive(one, extra, field)
            return
        for one in self._items(value, field):
            if field.kind == "xhtml":
                self._line(self._narrative(one))
            elif not isinstance(one, dict):
                raise self._error("not an object")
            elif field.kind == "complex":
                self._element(field.name, "", one, field.shape)
            else:
                self._line(f"<{field.name}>")
                self.resource(one)
                self._line(f"</{field.name}>")

    def _items(self, value: object, field: Field) -> list[Any]:
        if isinstance(value, list) != field.many:
            raise self._error("not an array" if field.many else "an array where one value belongs")
        return value if isinstance(value, list) else [value]

    def _pairs(self, owner: Mapping[str, Any], field: Field) -> Iterable[tuple[Any, Any]]:
        """Pair values with what stands beside them under `_name`; arrays are padded with nulls."""
        names = (field.name, f"_{field.name}")
        values, extras = (self._items(owner[name], field) if name in owner else [] for name in names)
        size = max(len(values), len(extras))
        padded = ([*items, *[None] * (size - len(items))] for items in (values, extras))
        return zip(*padded, strict=True)

    def _primitive(self, value: Any, extra: Any, field: Field) -> None:
        text = "" if value is None else f' value="{self._escaped(value)}"'
        if extra is None:
            if not text:
                raise self._error("a null without an extension")
            self._line(f"<{field.name}{text}/>")
        elif isinstance(extra, dict):
            self._element(field.name, text, extra, field.shape)
        else:
            raise self._error("what stands under `_` is not an object")

    def _escaped(self, value: object) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if not isinstance(value, (str, int)):
            raise self._error("not a primitive value")
        text = str(value)
        if _ILLEGAL.search(text):
            raise self._error("a character that XML cannot hold")
        return _SPECIAL.sub(lambda found: _ESCAPES[found[0]], text) if _SPECIAL.search(text) else text

    def _narrative(self, value: object) -> str:
        """Return the XHTML as it is, once it is known to be one closed `div` of its namespace."""
        if not isinstance(value, str):
            raise self._error("the narrative is not text")
        try:
            root = parse(value.encode("utf-8", "surrogatepass"))
        except BadXml as error:
            raise self._error(f"the narrative is {error}") from None
        name = etree.QName(root)
        if value.lstrip().startswith("<?") or name.localname != "div" or name.namespace not in (None, XHTML):
            raise self._error("the narrative is not a div of XHTML")
        source = value if name.namespace else _DIV_START.sub(f'<div xmlns="{XHTML}"', value, count=1)
        # A bare carriage return would not outlive the next parser.
        return source.replace("\r", "&#xD;")

    def _line(self, text: str) -> None:
        if self._pretty:
            self.out.append("\n" + "  " * (len(self._path) - 1))
        self.out.append(text)

    def _error(self, text: str) -> BadXml:
        path = ".".join(self._path)
        return BadXml(f"{path or 'the body'}: {text}", expression=path)
