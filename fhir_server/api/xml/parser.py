"""The XML parser, closed against what makes XML dangerous, and the narratives as they stand in the source.

Spec: https://hl7.org/fhir/R4/security.html#narrative
"""

import re
from collections.abc import Iterator

from lxml import etree

from fhir_server.errors import BadXml, TooLarge

_TOKEN = re.compile(
    r"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>"
    r"""|<(?P<end>/?)(?:[\w.\-]+:)?div(?=[\s/>])(?:[^"'>/]|"[^"]*"|'[^']*'|/(?!>))*(?P<empty>/?)>""",
    re.DOTALL,
)


def parse(raw: bytes) -> "etree._Element":
    """Parse a document that has no DTD, so that it has no entities, and reaches no file or network.

    Raises:
        BadXml: not UTF-8, a DOCTYPE, or not well-formed; says the line.
        TooLarge: an attribute or text beyond what the parser takes.
    """
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
        raise BadXml("a DOCTYPE is not allowed in FHIR XML", expression="http.body")
    if b"\0" in raw:
        raise BadXml("the body holds NUL characters; FHIR XML is UTF-8", expression="http.body")
    # The encoding is given, so that neither a declaration nor a mark can name another than the one checked here.
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        recover=False,
    )
    try:
        return etree.fromstring(raw, parser)
    except etree.XMLSyntaxError as error:
        raise _as_fhir_error(error) from None


def _as_fhir_error(error: "etree.XMLSyntaxError") -> BadXml | TooLarge:
    text = str(error.msg or "not well-formed")
    if "too long" in text or "huge" in text.lower():
        return TooLarge(f"the XML has a value that is too large: {text}", expression="http.body")
    return BadXml(f"not well-formed XML: {text}", expression="http.body")


def divs(text: str) -> Iterator[str]:
    """Cut the outermost `div` elements out of well-formed XML, in their order, each character as it was sent."""
    depth, start = 0, 0
    for token in _TOKEN.finditer(text):
        if token["end"] is None:
            continue
        if token["end"]:
            depth -= 1
        elif depth == 0:
            start = token.start()
        if not token["end"] and not token["empty"]:
            depth += 1
        if depth == 0:
            yield text[start : token.end()]
