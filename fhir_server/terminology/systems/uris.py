"""URIs as codes: any of them is one, relative ones too.

Spec: https://hl7.org/fhir/R4/terminologies-systems.html (urn:ietf:rfc:3986)
"""

import re
from functools import lru_cache

from fhir_server.terminology.code_system import Concept, Header
from fhir_server.terminology.systems.grammar import Grammar

URL = "urn:ietf:rfc:3986"

_URI = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%|]+")
_OID = re.compile(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+")
_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_LONGEST = 4_000


def uris() -> Grammar:
    """Return the system of URIs."""
    header = Header(URL, name="URI", title="Uniform Resource Identifiers (RFC 3986)", compositional=True)
    return Grammar(header, read)


@lru_cache(1_000)
def read(code: str) -> Concept | None:
    """Return the concept of a URI."""
    if len(code) > _LONGEST or not _URI.fullmatch(code):
        return None
    if code.startswith("urn:oid:") and not _OID.fullmatch(code):
        return None
    if code.startswith("urn:uuid:") and not _UUID.fullmatch(code):
        return None
    return Concept(code)
