"""The entries of a batch-response or transaction-response, as bytes.

Spec: https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.response
"""

from http import HTTPStatus

from fhir_server.errors import FhirError
from fhir_server.interactions.outcome import outcome
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.json import encode
from fhir_server.model.version import Version, instant

_PHRASES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
_OUTCOME = b'{"resourceType":"OperationOutcome"'


def responded(request: FhirRequest, response: FhirResponse) -> bytes:
    """Write what one request came to."""
    body = b"".join(response.body) if request.method != "HEAD" else b""
    about = _outcome_or_resource(request, response, body)
    return b"".join((b"{", *about[:1], b'"response":{', _status(response), *about[1:], b"}}"))


def _outcome_or_resource(request: FhirRequest, response: FhirResponse, body: bytes) -> tuple[bytes, bytes]:
    """Return what stands before `response` and what stands in it: an outcome has a place of its own there."""
    if not body or response.media_type is not None:
        return b"", b""
    if body.startswith(_OUTCOME) and request.type != "OperationOutcome":
        return b"", b',"outcome":' + body
    url = full_url(request.base, response.version) if response.version is not None else b""
    return url + b'"resource":' + body + b",", b""


def full_url(base: str, version: Version) -> bytes:
    """Write the member `fullUrl`, with a comma."""
    return b'"fullUrl":' + encode(f"{base}/{version.key.type}/{version.key.id}") + b","


def _status(response: FhirResponse) -> bytes:
    status = b'"status":"%b"' % _PHRASES.get(response.status, str(response.status)).encode()
    if response.version is None:
        return status
    return status + describe(response.version)


def describe(version: Version) -> bytes:
    """Write location, etag and lastModified of a version; a deletion has no location."""
    (type_, id_), number = version.key, version.version
    location = b"" if version.deleted else f',"location":"{type_}/{id_}/_history/{number}"'.encode()
    return location + f',"etag":"W/\\"{number}\\"","lastModified":"{instant(version.last_updated)}"'.encode()


def failed(error: FhirError) -> bytes:
    """Write an entry that was refused."""
    status = _PHRASES.get(error.status, str(error.status))
    return b'{"response":{"status":"%b","outcome":%b}}' % (status.encode(), outcome(error.issues))
