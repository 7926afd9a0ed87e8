"""How elements of XHTML may be nested: no blocks in paragraphs, rows in tables, items in lists; links without frames.

Spec: https://www.w3.org/TR/xhtml1/dtds.html#a_dtd_XHTML-1.0-Strict
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache

from lxml import etree

from fhir_server.validation.structure.primitives import shorten

_XHTML = "{http://www.w3.org/1999/xhtml}"
_LONGEST = 8192  # of texts that are remembered


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_INLINE = _words("a b em i strong small big sub sup code tt dfn q var abbr acronym cite bdo kbd samp")
_TEXT = _INLINE | _words("p h1 h2 h3 h4 h5 h6 pre address span caption dt")
_BLOCKS = _words("div pre table ul ol")
_NOT_IN_P = _words("blockquote p")
_EMPTY = _words("br img hr area")
_WITHIN: Mapping[str, frozenset[str]] = {
    "table": _words("tbody tr caption thead tfoot col colgroup"),
    "tr": _words("td th"),
    **dict.fromkeys(("tbody", "thead", "tfoot"), frozenset({"tr"})),
    **dict.fromkeys(("ul", "ol"), frozenset({"li"})),
    "dl": _words("dt dd"),
    "map": frozenset({"area"}),
}
_OWNERS: Mapping[str, frozenset[str]] = {
    "tr": _words("table thead tfoot tbody"),
    **dict.fromkeys(("tbody", "thead", "tfoot", "caption", "colgroup"), frozenset({"table"})),
    "col": _words("colgroup table"),
    **dict.fromkeys(("td", "th"), _words("tr thead tfoot")),
    "li": _words("ul ol"),
    **dict.fromkeys(("dd", "dt"), frozenset({"dl"})),
}


def nesting_faults(div: str) -> tuple[str, ...]:
    """Return what is wrong with a narrative in this respect; nothing where it is no XHTML at all."""
    return _kept(div) if len(div) <= _LONGEST else _faults(div)


def _faults(div: str) -> tuple[str, ...]:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(div.strip(" \t\r\n"), parser)
    except (etree.XMLSyntaxError, ValueError):
        return ()
    return tuple(dict.fromkeys(fault for node in root.iter(f"{_XHTML}*") for fault in _of_node(node)))


_kept = lru_cache(maxsize=256)(_faults)


def _name(node: etree._Element) -> str:
    return str(node.tag).removeprefix(_XHTML)


def _of_node(node: etree._Element) -> Iterator[str]:
    name, owner = _name(node), node.getparent()
    if name == "a" and "target" in node.attrib:
        yield "a link cannot say in which frame it opens (target)"
    children = [_name(child) for child in node if isinstance(child.tag, str)]
    if name in _EMPTY and (children or node.text):
        yield f"<{name}> cannot have content"
    if owner is not None and name in _OWNERS and _name(owner) not in _OWNERS[name]:
        yield f"<{name}> cannot stand in <{_name(owner)}>"
    if name in _WITHIN:
        wrong = next((child for child in children if child not in _WITHIN[name]), None)
        if wrong or _has_text(node):
            yield f"<{name}> cannot hold {f'<{wrong}>' if wrong else f'the text {_text(node)}'}"
    if name in _TEXT:
        yield from _of_text(node, name)


def _of_text(node: etree._Element, name: str) -> Iterator[str]:
    """Spec: https://www.w3.org/TR/xhtml1/#prohibitions (elements that may not stand within others)"""
    forbidden = _BLOCKS | (_NOT_IN_P if name == "p" else frozenset()) | ({name} if name in _INLINE else frozenset())
    below = (_name(one) for one in node.iterdescendants(f"{_XHTML}*"))
    wrong = next((one for one in below if one in forbidden), None)
    if wrong:
        yield f"<{name}> cannot hold <{wrong}>"


def _texts(node: etree._Element) -> list[str]:
    return [node.text or "", *(child.tail or "" for child in node)]


def _has_text(node: etree._Element) -> bool:
    return any(part.strip(" \t\r\n") for part in _texts(node))


def _text(node: etree._Element) -> str:
    return shorten("".join(_texts(node)).strip())
