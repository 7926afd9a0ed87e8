"""MIME types: anything of the form type/subtype, with parameters.

Spec: https://www.rfc-editor.org/rfc/rfc6838#section-4.2, https://hl7.org/fhir/R4/valueset-mimetypes.html
"""

import mimetypes
import re
from functools import lru_cache

from fhir_server.terminology.code_system import Concept, Header
from fhir_server.terminology.systems.grammar import Grammar

URL = "urn:ietf:bcp:13"

_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# Values that are not quoted may hold what the RFC has quoted, as in canonicalization=http://hl7.org/...
_MIME = re.compile(rf'{_NAME}/(?:{_NAME}|\*)(?:\s*;\s*{_WORD}=(?:"(?:[^"\\]|\\.)*"|[^;"]*[^\s;"]))*', re.IGNORECASE)
_LONGEST = 1_000
# CapabilityStatement.format allows these short names, and is bound to the same value set.
# https://hl7.org/fhir/R4/capabilitystatement-definitions.html#CapabilityStatement.format
_SHORT = frozenset(("xml", "json", "ttl"))


def mime_types() -> Grammar:
    """Return the system of MIME types."""
    header = Header(
        URL,
        name="MimeTypes",
        title="MIME types (BCP 13)",
        case_sensitive=False,
        compositional=True,
        value_set="http://hl7.org/fhir/ValueSet/mimetypes",
    )
    return Grammar(header, read, lambda: sorted(set(mimetypes.types_map.values())))


@lru_cache(1_000)
def read(code: str) -> Concept | None:
    """Return the concept of a MIME type."""
    if code in _SHORT or (len(code) <= _LONGEST and _MIME.fullmatch(code)):
        return Concept(code, code)
    return None
