"""DICOM JSON as XML and back: the Native DICOM Model of PS3.19 A.1."""

from collections.abc import Iterable
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

from lxml import etree
from pydicom.datadict import keyword_for_tag

from dicomweb.model.values import DicomJson
from fhir_server.plugin_api import BadRequest

NAMESPACE: Final = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_NAME_PARTS: Final = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_NUMBERS: Final = {"IS": int, "US": int, "SS": int, "UL": int, "SL": int, "UV": int, "SV": int}
_REALS: Final = frozenset(("DS", "FL", "FD"))


def to_xml(data_set: DicomJson) -> bytes:
    """Return a data set as a document."""
    written = "".join(_attributes(data_set))
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><NativeDicomModel xmlns="{NAMESPACE}" xml:space="preserve">{written}'
        "</NativeDicomModel>"
    ).encode()


def _attributes(data_set: DicomJson) -> Iterable[str]:
    for tag, element in sorted(data_set.items()):
        keyword = keyword_for_tag(int(tag, 16))
        name = f" keyword={quoteattr(keyword)}" if keyword else ""
        inner = "".join(_inner(element))
        yield f'<DicomAttribute tag="{tag}" vr="{element["vr"]}"{name}>{inner}</DicomAttribute>'


def _inner(element: dict[str, Any]) -> Iterable[str]:
    if "BulkDataURI" in element:
        yield f"<BulkData uri={quoteattr(element['BulkDataURI'])}/>"
    if "InlineBinary" in element:
        yield f"<InlineBinary>{element['InlineBinary']}</InlineBinary>"
    for number, value in enumerate(element.get("Value", ()), 1):
        if element["vr"] == "SQ":
            yield f'<Item number="{number}">{"".join(_attributes(value or {}))}</Item>'
        elif value is None:
            continue
        elif element["vr"] == "PN":
            yield f'<PersonName number="{number}">{"".join(_name(value))}</PersonName>'
        else:
            yield f'<Value number="{number}">{escape(_text(value))}</Value>'


def _text(value: Any) -> str:
    clean = str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)
    return "".join(each for each in clean if each in "\t\n\r" or each >= " ")


def _name(value: dict[str, str]) -> Iterable[str]:
    for group in _GROUPS:
        if value.get(group):
            parts = zip(_NAME_PARTS, value[group].split("^"), strict=False)
            inner = "".join(f"<{part}>{escape(_text(text))}</{part}>" for part, text in parts if text)
            yield f"<{group}>{inner}</{group}>"


def from_xml(body: bytes) -> DicomJson:
    """Return the data set of a document. Raises BadRequest."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False)
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as error:
        raise BadRequest(f"the metadata is no XML: {error}", expression="http.body") from None
    if etree.QName(root).localname != "NativeDicomModel":
        raise BadRequest("the metadata is no NativeDicomModel", expression="http.body")
    return _data_set(root)


def _data_set(parent: Any) -> DicomJson:
    found: DicomJson = {}
    for child in parent.iterchildren(tag=etree.Element):
        tag, vr = str(child.get("tag", "")).upper(), str(child.get("vr", "UN"))
        if len(tag) != 8 or any(each not in "0123456789ABCDEF" for each in tag):
            raise BadRequest("a DicomAttribute has no tag", expression="http.body")
        found[tag] = _element(child, vr)
    return found


def _element(node: Any, vr: str) -> dict[str, Any]:
    element: dict[str, Any] = {"vr": vr}
    for child in node.iterchildren(tag=etree.Element):
        kind, text = etree.QName(child).localname, child.text or ""
        if kind == "BulkData":
            element["BulkDataURI"] = str(child.get("uri") or child.get("uuid") or "")
        elif kind == "InlineBinary":
            element["InlineBinary"] = text.strip()
        elif kind == "Item":
            element.setdefault("Value", []).append(_data_set(child))
        elif kind == "PersonName":
            element.setdefault("Value", []).append(_person(child))
        elif kind == "Value":
            element.setdefault("Value", []).append(_value(vr, text))
    return element


def _person(node: Any) -> dict[str, str]:
    found = {}
    for group in node.iterchildren(tag=etree.Element):
        parts = {etree.QName(each).localname: each.text or "" for each in group.iterchildren(tag=etree.Element)}
        found[etree.QName(group).localname] = "^".join(parts.get(each, "") for each in _NAME_PARTS).rstrip("^")
    return found


def _value(vr: str, text: str) -> Any:
    try:
        return _NUMBERS[vr](text) if vr in _NUMBERS else float(text) if vr in _REALS else text
    except ValueError:
        return text
