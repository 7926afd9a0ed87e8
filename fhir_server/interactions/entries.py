"""The entries of a batch or transaction: a Bundle split into raw resources and the requests that they stand for."""

import asyncio
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from fhir_server.context import Context, Route
from fhir_server.errors import BadJson, BadRequest, FhirError, TooLarge
from fhir_server.interactions.outcome import prefixed
from fhir_server.interactions.prepare import INLINE, minified, parse
from fhir_server.model.exchange import FhirRequest

_BREATH = 256
_RESOURCE = b'"resource":'
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
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


_NO_HEADERS: Mapping[str, str] = {}


class Entry(msgspec.Struct, frozen=True):  # a Struct is made five times as fast as a dataclass; there are thousands
    """One entry: `resource` is minified JSON, empty where there is none; `headers` those that its request names."""

    index: int
    method: str
    url: str
    resource: bytes = b""
    full_url: str | None = None
    headers: Mapping[str, str] = _NO_HEADERS

    @property
    def place(self) -> str:
        """The FHIRPath of the entry."""
        return f"Bundle.entry[{self.index}]"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A Bundle without its resources parsed."""

    type: str
    entries: tuple[Entry, ...]


async def read_bundle(ctx: Context, request: FhirRequest) -> Envelope:
    """Split the Bundle of a request, a large one beside the event loop. Raises as `read_envelope`."""
    limits = {"max_depth": ctx.settings.max_depth, "max_entries": ctx.settings.max_entries}
    if len(request.body) <= INLINE:
        return read_envelope(request.body, **limits)
    return await asyncio.to_thread(read_envelope, request.body, **limits)


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
            start = small.index(_RESOURCE, at) + len(_RESOURCE)
            while not small.startswith(piece, start):
                start = small.index(_RESOURCE, start) + len(_RESOURCE)
            parts += (small[at:start], b"true")
            at = start + len(piece)
    return b"".join((*parts, small[at:]))


def _entry(index: int, row: Any, resource: bytes) -> Entry:
    if not isinstance(row, dict):
        raise _bad(index, "", "is not an object")
    request = row.get("request")
    if not isinstance(request, dict):
        raise _bad(index, "", "has no request")
    method, url, full_url = request.get("method"), request.get("url"), row.get("fullUrl")
    if method not in _METHODS:
        raise _bad(index, ".request.method", "is none of FHIR's")
    if not isinstance(url, str):
        raise _bad(index, ".request.url", "is missing")
    if resource and resource[:1] != b"{":
        raise _bad(index, ".resource", "is not an object")
    if full_url is not None and not isinstance(full_url, str):
        raise _bad(index, ".fullUrl", "is not a string")
    return Entry(index, method, url, resource, full_url, _headers(index, request) if len(request) > 2 else _NO_HEADERS)


def _headers(index: int, request: dict[str, Any]) -> dict[str, str]:
    found = {header: request[name] for name, header in _HEADERS.items() if name in request}
    if not all(isinstance(value, str) for value in found.values()):
        raise _bad(index, ".request", "has an ifMatch or the like that is not a string")
    return found


def _bad(index: int, part: str, what: str) -> BadRequest:
    place = f"Bundle.entry[{index}]{part}"
    return BadRequest(f"{place} {what}", expression=place)


async def breathe(number: int) -> None:
    """Let other requests have their turn, now and then in a long row of entries."""
    if number % _BREATH == _BREATH - 1:
        await asyncio.sleep(0)


class RequestReader:
    """Makes the requests that the entries of one Bundle stand for, as if they had come by HTTP."""

    def __init__(self, ctx: Context, outer: FhirRequest) -> None:
        self._ctx, self._outer = ctx, outer
        self._headers = {"accept": _FHIR_JSON, "prefer": _preferences(outer)}
        self._routes: dict[str, Route] = {}
        self._creates: dict[str, FhirRequest] = {}

    def create(self, entry: Entry) -> FhirRequest:
        """Return the request of a POST without conditions and without its body: the same for all of one url."""
        request = self._creates.get(entry.url)
        if request is None:
            request = self._creates[entry.url] = self.request(entry)
        return request

    def request(self, entry: Entry) -> FhirRequest:
        """Return the request. Raises FhirError if its url names nothing, or not for this method."""
        path, _, query = self._relative(entry.url).partition("?")
        route = self._route(path)
        body, content_type = entry.resource, _FHIR_JSON
        if entry.method == "PATCH":
            body, content_type = _patch(entry, self._ctx.settings.max_depth)
        return FhirRequest(
            method=entry.method,
            interaction=route.interaction(entry.method),
            base=self._outer.base,
            type=route.type,
            id=route.id,
            vid=route.vid,
            operation=route.operation,
            compartment=route.compartment,
            query=tuple(parse_qsl(query, keep_blank_values=True)) if query else (),
            headers={**self._headers, **entry.headers} if entry.headers else self._headers,
            body=body,
            content_type=content_type,
            tenant=self._outer.tenant,
            request_id=self._outer.request_id,
        )

    def _relative(self, url: str) -> str:
        if url.startswith(self._outer.base + "/"):
            return url[len(self._outer.base) + 1 :]
        return url.removeprefix("/")

    def _route(self, path: str) -> Route:
        """Most entries of a Bundle are of a few types, so routes are kept."""
        route = self._routes.get(path)
        if route is None:
            segments = [unquote(part) for part in path.split("/") if part]
            route = self._routes[path] = self._ctx.router.route(segments)
        return route


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


def _preferences(outer: FhirRequest) -> str:
    """Return the preferences that hold for entries too; `respond-async` is about the whole. Entries answer with the
    resource only where the client asks for it: it has just sent them."""
    handling = outer.preference("handling")
    text = f"return={outer.preference('return') or 'minimal'}"
    return f"{text},handling={handling}" if handling else text


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
