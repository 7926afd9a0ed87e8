"""XML Patch on the XML form of a resource. Spec: RFC 5261, https://hl7.org/fhir/R4/http.html#patch"""

import re
from copy import deepcopy
from typing import Any

from lxml import etree

from fhir_server.errors import BadRequest, InvalidResource

_FHIR = "http://hl7.org/fhir"
_XHTML = "http://www.w3.org/1999/xhtml"
_NAME = r"(?:[^\W\d][\w.\-]*:)?(?:[^\W\d][\w.\-]*|\*)"
_TEXT = r"""(?:'[^']*'|"[^"]*")"""
_TEST = rf"(?:\.|(?:{_NAME}/)*(?:@?{_NAME}|text\(\)))\s*=\s*{_TEXT}"
_CHOICE = rf"\[\s*(?:\d{{1,9}}|last\(\)|{_TEST}(?:\s+and\s+{_TEST})*)\s*\]"
_NODE = rf"(?:{_NAME}|\.|text\(\)|comment\(\)|processing-instruction\((?:{_TEXT})?\))(?:{_CHOICE})*"
_STEP = rf"(?:{_NODE}|@{_NAME}|id\({_TEXT}\))"
_SELECTOR = re.compile(rf"\s*/?{_STEP}(?:/{_STEP})*\s*")
"""The paths of RFC 5261, section 4.1. All of XPath would be another thing: it has functions, and can take for ever."""

_LONGEST = 1_000
_MATH = {"f": _FHIR, "h": _XHTML, "xhtml": _XHTML, "html": _XHTML}


def xml_patch(document: bytes, patch: bytes) -> bytes:
    """Return the document with the operations of the patch applied, each selecting exactly one node.

    Raises:
        BadRequest: the patch is not well-formed, or has no operations.
        InvalidResource: an operation cannot be applied.
    """
    root = etree.ElementTree(_parse(document))
    operations = [item for item in _parse(patch) if isinstance(item.tag, str)]
    if not operations:
        raise BadRequest("No Patch Operations Found", expression="http.body")
    for operation in operations:
        _apply(root, operation)
    return etree.tostring(root.getroot(), encoding="utf-8")


def _parse(raw: bytes) -> Any:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(raw, parser)
    except etree.XMLSyntaxError as error:
        raise BadRequest(f"the XML Patch document is not well-formed: {error.msg}", expression="http.body") from None
    tree: Any = root.getroottree()
    if tree.docinfo.doctype:
        raise BadRequest("an XML Patch document has no DOCTYPE", expression="http.body")
    return root


def _apply(tree: Any, operation: Any) -> None:
    name = etree.QName(operation).localname
    work = {"add": _add, "replace": _replace, "remove": _remove}.get(name)
    if work is None:
        raise BadRequest(f"{name!r} is no operation of XML Patch (add, replace, remove)", expression="http.body")
    work(_select(tree, operation), operation)


def _select(tree: Any, operation: Any) -> Any:
    sel = operation.get("sel")
    if not sel:
        raise BadRequest("every XML Patch operation needs 'sel'", expression="http.body")
    if len(sel) > _LONGEST or not _SELECTOR.fullmatch(sel):
        said = "is no path as XML Patch has them: f:Patient/f:name[1]/f:family/@value, f:name[f:use/@value='old']"
        raise BadRequest(f"'sel' {sel[:200]!r} {said}", expression="http.body")
    names = {**_MATH, **{prefix: uri for prefix, uri in operation.nsmap.items() if prefix}}
    try:
        found = tree.xpath(sel if sel.startswith("/") else f"/{sel}", namespaces=names)
    except etree.XPathError as error:
        raise BadRequest(f"'sel' {sel!r} is no XPath: {error}", expression="http.body") from None
    if not isinstance(found, list):
        raise BadRequest(f"'sel' {sel!r} selects no node", expression="http.body")
    if len(found) != 1:
        fault = "matched multiple nodes" if found else "did not match any node"
        raise InvalidResource(f"The xpath {sel} {fault}")
    return found[0]


def _is_text(node: Any) -> bool:
    """Whether the node is an attribute's value or a text node, which lxml gives as a string that knows its parent."""
    return isinstance(node, str)


def _add(node: Any, operation: Any) -> None:
    if _is_text(node):
        raise InvalidResource("an addition selects an element")
    kind = operation.get("type", "")
    if kind.startswith("@"):
        name = kind[1:]
        if node.get(name) is not None:
            raise InvalidResource(f"the attribute {name!r} is there already")
        node.set(name, operation.text or "")
    elif not kind.startswith("namespace::"):  # a namespace declaration says nothing in FHIR
        _insert(node, operation, operation.get("pos"))


def _insert(node: Any, operation: Any, position: str | None) -> None:
    new = [deepcopy(item) for item in operation]
    for item in new:
        _adopt(item)
    if position in ("before", "after"):
        parent = node.getparent()
        if parent is None:
            raise InvalidResource("nothing can be added beside the root")
        at = parent.index(node) + (position == "after")
        parent[at:at] = new
    elif position == "prepend":
        node[0:0] = new
    elif position is None:
        node.extend(new)
        if not new and operation.text:
            node.text = (node.text or "") + operation.text
    else:
        raise BadRequest(f"'pos' is before, after or prepend, not {position!r}", expression="http.body")


def _adopt(item: Any) -> None:
    """Elements of a patch without a namespace mean those of FHIR."""
    for element in item.iter(etree.Element):
        if isinstance(element.tag, str) and not element.tag.startswith("{"):
            element.tag = f"{{{_FHIR}}}{element.tag}"


def _replace(node: Any, operation: Any) -> None:
    if _is_text(node):
        _set_text(node, operation.text or "")
        return
    new = [deepcopy(item) for item in operation]
    if isinstance(node.tag, str) and len(new) != 1:
        raise InvalidResource("an element is replaced by exactly one element")
    for item in new:
        _adopt(item)
        item.tail = node.tail
    parent = node.getparent()
    if parent is None:
        raise InvalidResource("the root cannot be replaced")
    at = parent.index(node)
    parent[at : at + 1] = new


def _remove(node: Any, operation: Any) -> None:
    if _is_text(node):
        _set_text(node, None)
        return
    parent = node.getparent()
    if parent is None:
        raise InvalidResource("the root cannot be removed")
    parent.remove(node)


def _set_text(node: Any, text: str | None) -> None:
    owner = node.getparent()
    if not node.is_attribute:
        if node.is_tail:
            owner.tail = text
        else:
            owner.text = text
    elif text is None:
        del owner.attrib[node.attrname]
    else:
        owner.set(node.attrname, text)
