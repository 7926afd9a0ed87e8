"""The entries of a batch or transaction: a Bundle split into raw resources and the requests that they stand for."""

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from fhir_server.context import Context
from fhir_server.errors import BadJson, BadRequest, FhirError, TooLarge
from fhir_server.interactions.outcome import prefixed
from fhir_server.interactions.prepare import minified, parse
from fhir_server.model.exchange import FhirRequest

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"))
_FHIR_JSON = "application/fhir+json"
_HEADERS = {
    "ifMatch": "if-match",
    "ifNoneMatch": "if-none-match",
    "ifModifiedSince": "if-modified-since",
    "ifNoneExist": "if-none-exist",
}


class _RawEntry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw()


class _RawBundle(msgspec.Struct):
    entry: list[_RawEntry] = msgspec.field(default_factory=list)


_slicer = msgspec.json.Decoder(_RawBundle)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: `resource` is minified JSON, empty where there is none; `headers` those that its request names."""

    index: int
    method: str
    url: str
    resource: bytes = b""
    full_url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """The FHIRPath of the entry."""
        return f"Bundle.entry[{self.index}]"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A Bundle without its resources parsed."""

    type: str
    entries: tuple[Entry, ...]


def read_envelope(raw: bytes, *, max_depth: int, max_entries: int) -> Envelope:
    """Split a Bundle. Its resources stay raw bytes; all around them is parsed strictly.

    Raises:
        BadRequest: it is not a Bundle of requests; the expression names the place.
        TooLarge: it has too many entries.
    """
    small = minified(raw)
    slices = _slices(small)
    bundle = parse(_without(small, slices), max_depth)
    if bundle.get("resourceType") != "Bundle":
        raise BadRequest("the body is not a Bundle", expression="Bundle")
    rows = bundle.get("entry", [])
    if not isinstance(rows, list):
        raise BadRequest("Bundle.entry is not an array", expression="Bundle.entry")
    if len(rows) > max_entries:
        raise TooLarge(f"the Bundle has {len(rows)} entries; {max_entries} are allowed", expression="Bundle.entry")
    entries = tuple(_entry(index, row, slices[index]) for index, row in enumerate(rows))
    return Envelope(str(bundle.get("type")), entries)


def _slices(small: bytes) -> list[bytes]:
    try:
        return [bytes(entry.resource) for entry in _slicer.decode(small).entry]
    except msgspec.ValidationError as error:
        raise BadRequest(f"the body is not a Bundle: {error}", expression="Bundle") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadJson(f"not valid JSON: {error}", expression="http.body") from None


def _without(small: bytes, slices: list[bytes]) -> bytes:
    """Cut the resources out, so that duplicate members and the like around them are found at little cost."""
    parts: list[bytes] = []
    at = 0
    for piece in slices:
        if piece:
            start = small.index(b'"resource":' + piece, at) + 11
            parts += (small[at:start], b"true")
            at = start + len(piece)
    return b"".join((*parts, small[at:]))


def _entry(index: int, row: Any, resource: bytes) -> Entry:
    place = f"Bundle.entry[{index}]"
    if not isinstance(row, dict):
        raise BadRequest(f"{place} is not an object", expression=place)
    request = row.get("request")
    if not isinstance(request, dict):
        raise BadRequest(f"{place} has no request", expression=f"{place}.request")
    method, url = request.get("method"), request.get("url")
    if method not in _METHODS:
        raise BadRequest(f"{place}.request.method is none of FHIR's", expression=f"{place}.request.method")
    if not isinstance(url, str):
        raise BadRequest(f"{place}.request has no url", expression=f"{place}.request.url")
    return Entry(index, method, url, _resource(place, resource), _full_url(place, row), _headers(place, request))


def _resource(place: str, resource: bytes) -> bytes:
    if resource and not resource.startswith(b"{"):
        raise BadRequest(f"{place}.resource is not an object", expression=f"{place}.resource")
    return resource


def _full_url(place: str, row: dict[str, Any]) -> str | None:
    full_url = row.get("fullUrl")
    if full_url is not None and not isinstance(full_url, str):
        raise BadRequest(f"{place}.fullUrl is not a string", expression=f"{place}.fullUrl")
    return full_url


def _headers(place: str, request: dict[str, Any]) -> dict[str, str]:
    found = {header: request[name] for name, header in _HEADERS.items() if name in request}
    if not all(isinstance(value, str) for value in found.values()):
        raise BadRequest(f"{place}.request: ifMatch and the like are strings", expression=f"{place}.request")
    return found


def to_request(ctx: Context, outer: FhirRequest, entry: Entry) -> FhirRequest:
    """Return the request that an entry stands for, as if it had come by HTTP.

    Raises:
        FhirError: its url names nothing, or not for this method.
    """
    path, _, query = _relative(entry.url, outer.base).partition("?")
    route = ctx.router.route([unquote(part) for part in path.split("/") if part])
    body, content_type = (
        (entry.resource, _FHIR_JSON) if entry.method != "PATCH" else _patch(entry, ctx.settings.max_depth)
    )
    return FhirRequest(
        method=entry.method,
        interaction=route.interaction(entry.method),
        base=outer.base,
        type=route.type,
        id=route.id,
        vid=route.vid,
        operation=route.operation,
        compartment=route.compartment,
        query=tuple(parse_qsl(query, keep_blank_values=True)),
        headers={"accept": _FHIR_JSON, **_inherited(outer), **entry.headers},
        body=body,
        content_type=content_type,
        tenant=outer.tenant,
        request_id=outer.request_id,
    )


def _patch(entry: Entry, max_depth: int) -> tuple[bytes, str]:
    """Return a patch and its media type: a Binary holds a JSON or XML patch, a Parameters is a FHIRPath patch.

    Spec: https://hl7.org/fhir/R4/http.html#patch ("PATCH entries in a batch or transaction ... as a Binary")
    """
    resource = parse(entry.resource, max_depth) if entry.resource else {}
    if resource.get("resourceType") != "Binary":
        return entry.resource, _FHIR_JSON
    try:
        return b64decode(resource.get("data", ""), validate=True), str(resource.get("contentType"))
    except (ValueError, TypeError):
        raise BadRequest("Binary.data is not base64", expression="Binary.data") from None


def _inherited(outer: FhirRequest) -> dict[str, str]:
    """Return the preferences that hold for entries too; `respond-async` is about the whole."""
    named = {name: outer.preference(name) for name in ("return", "handling")}
    text = ",".join(f"{name}={value}" for name, value in named.items() if value)
    return {"prefer": text} if text else {}


def _relative(url: str, base: str) -> str:
    if url.startswith(base + "/"):
        return url[len(base) + 1 :]
    return url.removeprefix("/")


def located(error: FhirError, entry: Entry) -> FhirError:
    """Return the error with the entry named in its expressions, those of HTTP parts becoming parts of the request."""
    issues = [
        replace(issue, expression=tuple(_part(entry, e) for e in issue.expression) or (entry.place,))
        for issue in prefixed(error.issues, f"{entry.place}.resource")
    ]
    fresh = type(error)(str(error), issues=issues)
    fresh.headers = error.headers
    return fresh


_PARTS = {
    "http.if-match": "request.ifMatch",
    "http.if-none-match": "request.ifNoneMatch",
    "http.if-none-exist": "request.ifNoneExist",
    "http.method": "request.method",
    "http.body": "resource",
}


def _part(entry: Entry, expression: str) -> str:
    if not expression.startswith("http."):
        return expression
    return f"{entry.place}.{_PARTS.get(expression, 'request.url')}"
