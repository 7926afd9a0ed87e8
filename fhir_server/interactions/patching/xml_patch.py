"""XML Patch on the XML form of a resource. Spec: RFC 5261, https://hl7.org/fhir/R4/http.html#patch"""

from copy import deepcopy
from typing import Any

from lxml import etree

from fhir_server.errors import BadRequest, InvalidResource
from fhir_server.interactions.patching import xml_nodes as nodes
from fhir_server.interactions.patching.xml_selection import FHIR, namespaces, select

_SPACE = ("before", "after", "both")


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
    node, prefix = select(tree, operation)
    if prefix is None:
        work(node, operation)
    elif name == "add":
        raise InvalidResource("an addition selects an element")
    else:
        _declare(node, prefix, operation.text if name == "replace" else None)


# --- operations


def _add(node: Any, operation: Any) -> None:
    kind, position = operation.get("type", ""), operation.get("pos")
    if position not in (None, "before", "after", "prepend"):
        raise BadRequest(f"'pos' is before, after or prepend, not {position!r}", expression="http.body")
    if kind.startswith("@"):
        _add_attribute(node, kind[1:], operation)
    elif not kind.startswith("namespace::"):  # a namespace declaration says nothing in FHIR
        nodes.put(nodes.gap(node, position), operation.text or "", _content(operation))


def _add_attribute(node: Any, name: str, operation: Any) -> None:
    if not nodes.is_element(node):
        raise InvalidResource("an attribute is added to an element")
    prefix, _, local = name.rpartition(":")
    if prefix:
        uri = namespaces(operation).get(prefix)
        if uri is None:
            raise BadRequest(f"the prefix {prefix!r} of an attribute is not declared", expression="http.body")
        name = f"{{{uri}}}{local}"
    if node.get(name) is not None:
        raise InvalidResource(f"the attribute {name!r} is there already")
    _set_attribute(node, name, _text(operation))


def _replace(node: Any, operation: Any) -> None:
    if nodes.is_text(node):
        _set_text(node, _text(operation))
        return
    new = _content(operation)
    if nodes.is_element(node) and (len(new) != 1 or not nodes.is_element(new[0])):
        raise InvalidResource("an element is replaced by exactly one element")
    for item in new:
        item.tail = None
    place = nodes.gap(node, "before")
    nodes.put(place, "", new)
    nodes.take(node)


def _remove(node: Any, operation: Any) -> None:
    space = operation.get("ws")
    if space not in (None, *_SPACE) or (space and nodes.is_text(node)):
        raise BadRequest("'ws' is before, after or both, where a node is removed", expression="http.body")
    if nodes.is_text(node):
        _set_text(node, None)
        return
    if space in ("before", "both"):
        nodes.drop_space(nodes.gap(node, "before"))
    if space in ("after", "both"):
        nodes.drop_space(nodes.gap(node, "after"))
    nodes.take(node)


def _declare(node: Any, prefix: str, uri: str | None) -> None:
    """Change what a prefix stands for, or take it away if it is not in use.

    Raises:
        InvalidResource: the prefix is not declared, or is in use.
    """
    old = node.nsmap.get(prefix)
    if old is None:
        raise InvalidResource(f"the prefix {prefix!r} is not declared there")
    used = [element for element in node.iter(etree.Element) if element.prefix == prefix]
    if uri is None and used:
        raise InvalidResource(f"the prefix {prefix!r} is in use")
    for element in used:
        element.tag = f"{{{uri}}}{etree.QName(element).localname}"


# --- what an operation holds


def _content(operation: Any) -> list[Any]:
    """Return copies of what an operation holds behind its first text; names without a namespace mean those of FHIR."""
    new = [deepcopy(item) for item in operation]
    for item in new:
        for element in item.iter(etree.Element):
            if isinstance(element.tag, str) and not element.tag.startswith("{"):
                element.tag = f"{{{FHIR}}}{element.tag}"
    return new


def _text(operation: Any) -> str:
    if len(operation):
        raise InvalidResource("an attribute or a text is replaced by text, not by elements")
    return operation.text or ""


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
        _set_attribute(owner, node.attrname, text)


def _set_attribute(node: Any, name: str, text: str) -> None:
    try:
        node.set(name, text)
    except ValueError:
        raise BadRequest(f"{name!r} is no name of an attribute", expression="http.body") from None
