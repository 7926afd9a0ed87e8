"""XHTML of narratives: well formed, and nothing in it that runs, loads or hides.

Spec: https://hl7.org/fhir/R4/narrative.html
"""

import re

from lxml import etree

_XHTML = "{http://www.w3.org/1999/xhtml}"
_XML = "{http://www.w3.org/XML/1998/namespace}"
_REMEMBERED = 256
_LONGEST_REMEMBERED = 4096
_MOST_ATTRIBUTES = 100


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# HTML 4.0 chapters 7 to 11 without 9.4, chapter 15 without what is deprecated, a, img, map and area.
_ELEMENTS = _words(
    "a abbr acronym address area b bdo big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 "
    "h4 h5 h6 hr i img kbd li map ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var"
)
# Those of tables are taken anywhere, as by the reference validator: they do no harm.
_EVERYWHERE = _words(
    f"id class style title lang dir {_XML}lang {_XML}space accesskey tabindex span width align valign char charoff "
    "abbr axis headers scope rowspan colspan"
)
_CELL = _words("align valign char charoff abbr axis headers scope rowspan colspan width height nowrap bgcolor")
_ATTRIBUTES = {
    "a": _words("href name hreflang rel rev charset type shape coords target"),
    "area": _words("href shape coords nohref alt"),
    "blockquote": frozenset({"cite"}),
    "col": _words("span width align valign char charoff"),
    "colgroup": _words("span width align valign char charoff"),
    "hr": _words("align noshade size width"),
    "img": _words("src alt longdesc height width usemap ismap border align hspace vspace"),
    "li": frozenset({"value", "type"}),
    "map": frozenset({"name"}),
    "ol": frozenset({"start", "type"}),
    "q": frozenset({"cite"}),
    "table": _words("summary width border frame rules cellspacing cellpadding align bgcolor"),
    "tbody": _CELL,
    "td": _CELL,
    "tfoot": _CELL,
    "th": _CELL,
    "thead": _CELL,
    "tr": _CELL,
    "ul": frozenset({"type"}),
}
_ALIGNED = _words("caption div h1 h2 h3 h4 h5 h6 p")
_LINKS = _words("href src cite longdesc usemap")
_active_link = re.compile(r"(?:javascript|vbscript|livescript|mocha|file):|data:(?!image/(?:png|gif|jpe?g|bmp|webp);)")
_active_style = re.compile(r"javascript:|vbscript:|expression\(|@import|behaviou?r:|-moz-binding")
_invisible = re.compile(r"[\s\x00-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202e\ufeff]+")
_comment_or_escape = re.compile(r"/\*.*?\*/|\\", re.DOTALL)

_safe: dict[str, bool] = {}


def is_safe(text: str) -> bool:
    """Whether a `div` may stand in a narrative. Those seen last are remembered: generated text repeats."""
    if text in _safe:
        return True
    if fault(text) is not None:
        return False
    if len(text) <= _LONGEST_REMEMBERED:
        if len(_safe) >= _REMEMBERED:
            _safe.clear()
        _safe[text] = True
    return True


def fault(text: str) -> str | None:
    """Say what is wrong with a `div`; None when nothing is."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return "document types and entities are not allowed"
    if text.lstrip().startswith("<?"):
        return "it must start with <div>"
    # A parser of its own for each text: lxml lets only one thread at a time use one.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(text.strip(" \t\r\n"), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        return f"it is not well-formed XHTML ({str(error)[:100]})"
    if root.tag != f"{_XHTML}div":
        return 'the root must be <div xmlns="http://www.w3.org/1999/xhtml">'
    return _tree_fault(root)


def _tree_fault(root: etree._Element) -> str | None:
    for node in root.iter():
        if isinstance(node, etree._Comment):
            continue
        if not isinstance(node.tag, str):
            return "processing instructions and entities are not allowed"
        wrong = _element_fault(node)
        if wrong:
            return wrong
    return None


def _element_fault(node: etree._Element) -> str | None:
    name = str(node.tag).removeprefix(_XHTML)
    if name not in _ELEMENTS:
        return f"the element <{name[:40]}> is not one that a narrative may have"
    if len(node.attrib) > _MOST_ATTRIBUTES:  # each is looked for among all: many would take hours
        return f"<{name}> has more attributes than there are"
    for attribute, value in node.attrib.items():
        wrong = _attribute_fault(name, str(attribute), str(value))
        if wrong:
            return wrong
    return None


def _attribute_fault(element: str, name: str, value: str) -> str | None:
    allowed = name in _EVERYWHERE or name in _ATTRIBUTES.get(element, ()) or (name == "align" and element in _ALIGNED)
    if not allowed:
        return f"the attribute {name[:40]} of <{element}> is not one that a narrative may have"
    if name in _LINKS and _active_link.match(_invisible.sub("", value).lower()):
        return f"the attribute {name} of <{element}> must not hold a script or a file"
    if name == "style" and _active_style.search(_comment_or_escape.sub("", _invisible.sub("", value)).lower()):
        return f"the style of <{element}> must not run or load anything"
    return None
