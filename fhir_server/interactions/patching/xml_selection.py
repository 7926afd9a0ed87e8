"""Which node an operation of an XML Patch selects. Spec: RFC 5261, section 4.1"""

import re
from collections.abc import Mapping
from typing import Any

from lxml import etree

from fhir_server.errors import BadRequest, InvalidResource

FHIR = "http://hl7.org/fhir"
_XHTML = "http://www.w3.org/1999/xhtml"
_XML = "http://www.w3.org/XML/1998/namespace"
_NAME = r"(?:[^\W\d][\w.\-]*:)?(?:[^\W\d][\w.\-]*|\*)"
_TEXT = r"""(?:'[^']*'|"[^"]*")"""
_TEST = rf"(?:\.|(?:{_NAME}/)*(?:@?{_NAME}|text\(\)))\s*=\s*{_TEXT}"
_CHOICE = rf"\[\s*(?:\d{{1,9}}|last\(\)|{_TEST}(?:\s+and\s+{_TEST})*)\s*\]"
_NODE = rf"(?:{_NAME}|\.|text\(\)|comment\(\)|processing-instruction\((?:{_TEXT})?\))(?:{_CHOICE})*"
_STEP = rf"(?:{_NODE}|@{_NAME}|id\({_TEXT}\))"
_SELECTOR = re.compile(rf"\s*(?P<path>/?{_STEP}(?:/{_STEP})*)(?:/namespace::(?P<prefix>[\w.\-]+))?\s*")
"""The paths of RFC 5261, section 4.1. All of XPath would be another thing: it has functions, and can take for ever."""

# An element's name without a prefix: neither an attribute's, nor a function's, nor the word between two tests.
_PLAIN = re.compile(rf"{_TEXT}|@{_NAME}|[^\W\d][\w.\-]*:(?:[^\W\d][\w.\-]*|\*)|(?P<name>[^\W\d][\w.\-]*)(?!\(|[\w.\-])")
_LONGEST = 1_000
_WELL_KNOWN = {"f": FHIR, "h": _XHTML, "xhtml": _XHTML, "html": _XHTML, "xml": _XML}


def namespaces(operation: Any) -> Mapping[str, str]:
    """Return the prefixes that an operation may use; `plain` is what names without a prefix mean.

    Spec: RFC 5261, section 4.2.2: the default namespace of the patch; without one that of FHIR.
    """
    declared = {prefix: uri for prefix, uri in operation.nsmap.items() if prefix}
    return {**_WELL_KNOWN, **declared, "plain": operation.nsmap.get(None, FHIR)}


def select(tree: Any, operation: Any) -> tuple[Any, str | None]:
    """Return the one node that an operation selects, and the prefix if it is a namespace declaration of the node.

    Raises:
        BadRequest: `sel` is missing, or no path.
        InvalidResource: it selects no node, or several.
    """
    sel = operation.get("sel")
    if not sel:
        raise BadRequest("every XML Patch operation needs 'sel'", expression="http.body")
    match = _SELECTOR.fullmatch(sel) if len(sel) <= _LONGEST else None
    if match is None:
        said = "is no path as XML Patch has them: f:Patient/f:name[1]/f:family/@value, f:name[f:use/@value='old']"
        raise BadRequest(f"'sel' {sel[:200]!r} {said}", expression="http.body")
    path = _PLAIN.sub(_with_prefix, match["path"])
    try:
        found = tree.xpath(path if path.startswith("/") else f"/{path}", namespaces=namespaces(operation))
    except etree.XPathError as error:
        raise BadRequest(f"'sel' {sel!r} is no XPath: {error}", expression="http.body") from None
    if not isinstance(found, list):
        raise BadRequest(f"'sel' {sel!r} selects no node", expression="http.body")
    if len(found) != 1:
        fault = "matched multiple nodes" if found else "did not match any node"
        raise InvalidResource(f"The xpath {sel} {fault}")
    return found[0], match["prefix"]


def _with_prefix(match: re.Match[str]) -> str:
    name = match["name"]
    between_tests = name == "and" and match.string[match.start() - 1 : match.start()].isspace()
    return match[0] if name is None or between_tests else f"plain:{name}"
