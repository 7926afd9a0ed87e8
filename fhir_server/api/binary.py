"""Writes to Binary: whether a body is a Binary resource or the content of one.

"When binary data is written to the server, the data is accepted as is and treated as the content of a Binary, including
when the content type is `application/fhir+xml` or `application/fhir+json`, except for the special case where the
content is actually a Binary resource." https://hl7.org/fhir/R4/binary.html#rest
"""

import msgspec
from lxml import etree

from fhir_server.api import formats
from fhir_server.api.xml.parser import parse
from fhir_server.api.xml.shapes import FHIR
from fhir_server.errors import FhirError


class _Typed(msgspec.Struct):
    resourceType: str = ""  # noqa: N815  # the name that JSON has


_decoder = msgspec.json.Decoder(_Typed)


def is_content(body: bytes, name: str) -> bool:
    """Tell whether a body of this media type is to be taken as it is.

    What says that it is FHIR and cannot even be parsed is not: it is refused where it is read.
    """
    kind = formats.KINDS.get(name)
    if kind is None:
        return True
    found = _json_type(body) if kind == "json" else _xml_type(body)
    if found is None:
        return not formats.is_fhir(name)
    return found != "Binary"


def _json_type(body: bytes) -> str | None:
    """Return the type of a resource, an empty string for other JSON, None for what is no JSON."""
    try:
        return _decoder.decode(body).resourceType
    except msgspec.ValidationError:
        return ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _xml_type(body: bytes) -> str | None:
    """Return the type of a resource, an empty string for other XML, None for what is no XML or not safe to look at."""
    try:
        root = etree.QName(parse(body))
    except FhirError:
        return None
    return root.localname if root.namespace == FHIR else ""
