"""What a narrative may hold: basic formatting, no scripts, no forms, nothing that loads or runs.

Spec: https://hl7.org/fhir/R4/narrative.html#xhtml
"""

from xml.etree.ElementTree import Element, ParseError, XMLParser

XHTML = "{http://www.w3.org/1999/xhtml}"
_ELEMENTS = frozenset(
    """
    a abbr acronym address b bdo big blockquote br caption center cite code col colgroup dd dfn div dl
    dt em font h1 h2 h3 h4 h5 h6 hr i img ins del kbd li map area ol p pre q s samp small span strike
    strong style sub sup table tbody td tfoot th thead tr tt u ul var
    """.split()  # noqa: SIM905
)
_ATTRIBUTES = frozenset(
    """
    abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char
    charoff charset cite class clear color colspan compact coords dir face frame headers height href
    hreflang hspace id lang longdesc name nohref noshade nowrap rel rev rowspan rules scope shape size
    span src start style summary tabindex title type usemap valign value vspace width
    """.split()  # noqa: SIM905
)
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}"


def is_narrative(text: str) -> bool:
    """Whether the text is a `div` in the XHTML namespace, of allowed elements and attributes, with some content."""
    root = _parse(text)
    if root is None or root.tag != f"{XHTML}div":
        return False
    if not all(_allowed(element) for element in root.iter()):
        return False
    return bool("".join(root.itertext()).strip()) or root.find(f".//{XHTML}img") is not None


def _parse(text: str) -> Element | None:
    # A document type would bring entities; a narrative has none, and there is nothing else to fear in expat.
    if "<!" in text.replace("<!--", ""):
        return None
    parser = XMLParser()  # noqa: S314
    try:
        parser.feed(text)
        root = parser.close()
    except (ParseError, ValueError):
        return None
    return root if isinstance(root, Element) else None


def _allowed(element: Element) -> bool:
    if not isinstance(element.tag, str) or not element.tag.startswith(XHTML):
        return False
    if element.tag.removeprefix(XHTML) not in _ELEMENTS:
        return False
    return all(_allowed_attribute(name, value) for name, value in element.attrib.items())


def _allowed_attribute(name: str, value: str) -> bool:
    if name.startswith(_XML_LANG):
        return True
    scheme = "".join(value.split()).lower()
    if name in ("href", "src") and scheme.startswith(("javascript:", "vbscript:", "data:text")):
        return False
    return name in _ATTRIBUTES
