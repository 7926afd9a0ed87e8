"""What every snapshot must say besides what follows from base and differential, so that it is a valid one itself.

Spec: https://hl7.org/fhir/R4/structuredefinition.html#invs
"""

from collections.abc import Iterable, Iterator
from typing import Any

from fhir_server.snapshot.node import Element
from fhir_server.snapshot.unfold import TYPES, Definition, Find

ELE_1 = {
    "key": "ele-1",
    "severity": "error",
    "human": "All FHIR elements must have a @value or children",
    "expression": "hasValue() or (children().count() > id.count())",
    "xpath": "@value|f:*|h:div",
    "source": "http://hl7.org/fhir/StructureDefinition/Element",
}
_SYSTEM = "http://hl7.org/fhirpath/System."
_ATTRIBUTES = frozenset(("Extension.url", "Element.id", "Resource.id"))
_NOT_OF_ROOTS = frozenset(("label", "code", "requirements", "slicing", "type", "sliceName"))


def complete(elements: Iterable[Element], definition: Definition, find: Find) -> Iterator[dict[str, Any]]:
    """Yield the elements with `ele-1`, and with cardinality, base and definition where they lack one."""
    for index, element in enumerate(elements):
        path = str(element.get("path", ""))
        added: dict[str, Any] = {"min": 0, "max": "*" if index == 0 else "1"} | dict(element)
        if not index:
            kept = ("type",) if definition.get("kind") == "logical" else ()
            added = {name: value for name, value in added.items() if name not in _NOT_OF_ROOTS or name in kept}
        added.setdefault("definition", added.get("short") or path)
        if "binding" in added and not {"valueSet", "description"} & added["binding"].keys():
            added["binding"] = {**added["binding"], "description": added.get("short") or path}
        added.setdefault("base", {"path": path, "min": added["min"], "max": added["max"]})
        if _is_element(added, index, definition, find):
            added["constraint"] = [ELE_1, *(rule for rule in added.get("constraint", ()) if rule["key"] != "ele-1")]
        yield added


def _is_element(element: Element, index: int, definition: Definition, find: Find) -> bool:
    """Tell whether a value is an Element: neither a resource nor an attribute in XML."""
    if index == 0:
        return definition.get("kind") not in ("resource", "logical")
    if element["base"].get("path") in _ATTRIBUTES:
        return False
    codes = [str(each.get("code", "")) for each in element.get("type", ())]
    return not any(code.startswith(_SYSTEM) or _is_resource(code, find) for code in codes)


def _is_resource(code: str, find: Find) -> bool:
    if not code[:1].isupper() or code == "Extension":
        return False
    found = find(TYPES + code)
    return found is not None and found.get("kind") == "resource"
