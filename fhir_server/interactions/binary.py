"""Binary: raw content in and out, or as a resource.

Spec: https://hl7.org/fhir/R4/binary.html
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping

from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.json import decode, encode
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version

_FHIR = re.compile(r"application/(?:fhir\+(?:json|xml)|(?:json|xml)\+fhir)")
_FORMATS = ("json", "xml", "application/json", "application/xml", "text/json", "text/xml")
_DEFAULT = "application/octet-stream"


def as_resource(request: FhirRequest, key: ResourceKey | None = None) -> bytes:
    """Return the body of a write as JSON; raw content sent to Binary is wrapped in one."""
    if request.type != "Binary" or is_fhir(request.content_type):
        return request.body
    return wrapped(request.body, request.content_type, request.headers, key.id if key is not None else None)


def wrapped(content: bytes, content_type: str, headers: Mapping[str, str], id_: str | None) -> bytes:
    """Return a Binary with this content.

    `X-Security-Context` names the resource whose access rules hold for the content.
    """
    resource: dict[str, object] = {"resourceType": "Binary"}
    if id_ is not None:
        resource["id"] = id_
    resource["contentType"] = content_type.strip() or _DEFAULT
    context = headers.get("x-security-context")
    if context:
        resource["securityContext"] = {"reference": context}
    if content:
        resource["data"] = b64encode(content).decode()
    return encode(resource)


def represent(request: FhirRequest, version: Version) -> FhirResponse:
    """Answer with the content itself, unless the client asks for FHIR."""
    if wants_resource(request):
        return FhirResponse.of_version(version)
    resource = decode(version.stamped())
    headers = {}
    context = resource.get("securityContext", {}).get("reference")
    if context:
        headers["X-Security-Context"] = context
    content = b64decode(resource.get("data", ""))
    return FhirResponse(200, (content,), version, headers, media_type=resource.get("contentType", _DEFAULT))


def wants_resource(request: FhirRequest) -> bool:
    """Tell whether `_format` or the Accept header asks for the resource, not its content.

    Only a FHIR media type does, by its own name: https://hl7.org/fhir/R4/binary.html#rest
    """
    format_ = request.parameter("_format")
    if format_ is not None:
        return format_.strip() in _FORMATS or is_fhir(format_)
    return any(is_fhir(part) for part in request.headers.get("accept", "").split(","))


def is_fhir(media_type: str) -> bool:
    """Tell whether a media type (with parameters) is one of FHIR's own."""
    return _FHIR.fullmatch(media_type.partition(";")[0].strip().lower().replace(" ", "+")) is not None
