"""HTTP to FhirRequest: what a client asks, checked as far as HTTP goes.

Spec: https://hl7.org/fhir/R4/http.html
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from fhir_server.api import formats, headers, query
from fhir_server.api.binary import is_content
from fhir_server.api.body import Receive, read
from fhir_server.api.headers import Scope
from fhir_server.api.places import Place, place_of
from fhir_server.api.routes import Route, Router, check_ids
from fhir_server.api.xml import xml_to_json
from fhir_server.definitions import Definitions
from fhir_server.errors import BadJson, BadRequest, UnsupportedMediaType, UriTooLong
from fhir_server.interactions.binary import wrapped
from fhir_server.model.exchange import FhirRequest, Query
from fhir_server.settings import Settings
from fhir_server.tenancy.registration import DEFAULT, public_base

MOUNT = "/fhir"
WITH_BODY = frozenset(("POST", "PUT", "PATCH"))
_BODIES = frozenset(("create", "update", "patch", "batch"))
_PATCHES = frozenset((formats.JSON_PATCH, formats.XML_PATCH))
ACCEPT_PATCH = f"{formats.JSON_PATCH}, {formats.XML_PATCH}, {formats.FHIR_JSON}, {formats.FHIR_XML}"
_SMALL = 65_536
_MOST_PATHS, _LONGEST_PATH = 4_096, 128
_BOM = b"\xef\xbb\xbf"
_BUNDLE_TYPE = re.compile(rb'\s*\{\s*"resourceType"\s*:\s*"Bundle"\s*,\s*"type"\s*:\s*"([a-z-]+)"')

LINES = "fhir.lines"
"""Key of an ASGI scope where the server says that header lines like these were seen on the connection before: a dict
that is the same each time, for what was found out from them."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What decoding needs of the server; `any_format` are the operations that answer in media types of their own."""

    definitions: Definitions
    settings: Settings
    router: Router
    any_format: frozenset[str] = frozenset()


class Head(NamedTuple):
    """A request before its body: `mount` is the path of the endpoint, `path` what comes below it, escapes and all.

    `correlation_id` is the client's id where the server had to choose its own. `known` is room for what follows from
    the headers alone; it is the same for all requests of a connection whose headers are.
    """

    scope: Scope
    method: str
    mount: str
    path: bytes
    headers: dict[str, str]
    request_id: str
    correlation_id: str | None
    tenant: str
    known: dict[str, Any]


class _Bundle(msgspec.Struct):
    type: str = ""


_bundle_decoder = msgspec.json.Decoder(_Bundle)


def head(scope: Scope, mount: str) -> Head:
    """Read the head of a request; nothing is refused yet, so that there is always somebody to answer."""
    known: dict[str, Any] | None = scope.get(LINES)
    if known is None:
        known = {}
    found = known.get("headers")
    if found is None:
        found = known["headers"] = headers.mapping(scope["headers"])
    request_id, correlation_id = headers.request_id(found)
    raw = scope.get("raw_path") or scope["path"].encode()
    place = place_of(scope)
    if place is None:
        return Head(
            scope, scope["method"], mount, raw[len(mount) :], found, request_id, correlation_id, DEFAULT, known
        )  # fmt: skip
    root = scope.get("root_path") or ""
    below, shown = raw[len(root) + len(place.inside) + len(MOUNT) :], f"{root}{place.prefix}{MOUNT}"
    return Head(scope, scope["method"], shown, below, found, request_id, correlation_id, place.tenant, known)


def base_of(head: Head, settings: Settings) -> str:
    """Return the URL of the endpoint. Raises BadRequest: the Host header is no host."""
    if head.tenant == DEFAULT:
        base: str | None = head.known.get("base")
        if base is None:
            base = head.known["base"] = headers.base_url(head.scope, head.headers, settings, head.mount)
        return base
    return base_url_of(place_of(head.scope), (head.scope, head.headers), settings, head.mount)


def base_url_of(place: Place | None, asked: tuple[Scope, Mapping[str, str]], settings: Settings, mount: str) -> str:
    """Return the URL of the endpoint at a place; a host of a tenant's own is what its clients say."""
    if place is None:
        return headers.base_url(*asked, settings, mount)
    known = public_base(settings, place.tenant) if place.prefix else ""
    return headers.base_url(*asked, settings, mount, known)


def url_query(head: Head, settings: Settings) -> Query:
    """Return the URL's parameters.

    Raises:
        UriTooLong: path and query are longer than `max_url`.
        BadRequest: they cannot be read.
    """
    raw = head.scope.get("query_string", b"")
    if len(raw) + len(head.mount) + len(head.path) > settings.max_url:
        raise UriTooLong(f"the URL is longer than {settings.max_url} bytes; POST to _search", expression="http.url")
    return query.parameters(raw)


def route(head: Head, parts: Parts) -> Route:
    """Find what the path names. Raises UnknownPath."""
    return parts.router.route(query.segments(head.path))


def request(head: Head, base: str, parameters: Query, parts: Parts) -> FhirRequest:
    """Make the FhirRequest of a head alone.

    Raises:
        FhirError: unknown path or method, an impossible id, bad headers.
    """
    found = _route(head, parts)
    interaction = found.interaction(head.method)
    _check_headers(head)
    return _request(head, base, (found, interaction), (b"", formats.FHIR_JSON, parameters), parts.settings)


async def request_with_body(head: Head, base: str, parameters: Query, receive: Receive, parts: Parts) -> FhirRequest:
    """Make the FhirRequest of a head and the body that follows.

    Raises:
        FhirError: as `request`, or a body that cannot be read or converted.
        ClientGone: the client hung up.
    """
    found = _route(head, parts)
    interaction = found.interaction(head.method)
    _check_headers(head)
    body = await read(receive, head.headers, parts.settings)
    payload = await _payload(head, found, interaction, (body, parameters), parts)
    if interaction == "batch":
        interaction = _bundle_interaction(payload[0])
    return _request(head, base, (found, interaction), payload, parts.settings)


def _route(head: Head, parts: Parts) -> Route:
    """Find what the path names, with ids that are possible; paths seen lately are known.

    Raises:
        UnknownPath: nothing.
        FhirError: the method is not allowed, or an id is impossible.
    """
    known = parts.router.known
    found = known.get(head.path)
    if found is None:
        found = route(head, parts)
        found.interaction(head.method)
        check_ids(head.method, found)
        if len(known) >= _MOST_PATHS:
            known.clear()
        if len(head.path) <= _LONGEST_PATH:
            known[head.path] = found
    return found


def _check_headers(head: Head) -> None:
    if "checked" not in head.known:
        headers.check(head.scope["headers"], head.headers)
        head.known["checked"] = True


def _request(head: Head, base: str, asked: tuple[Route, str], payload: "Payload", settings: Settings) -> FhirRequest:
    (_, type_, id_, vid, operation, compartment), interaction = asked
    body, content_type, parameters = payload
    address = head.known.get("address")
    if address is None:
        address = head.known["address"] = headers.client_address(head.scope, head.headers, settings)
    grant = "*" if OPERATOR in head.scope.get("state", ()) else ""
    return FhirRequest(
        "GET" if head.method == "HEAD" else head.method, interaction, base, type_, id_, vid, operation, compartment,
        parameters, head.headers, body, content_type, head.tenant, head.request_id, grant, address,
    )  # fmt: skip


Payload = tuple[bytes, str, Query]

OPERATOR = "fhir.operator"
"""Key of an ASGI scope's state that says that the request comes from the operator of the machine."""


async def _payload(head: Head, found: Route, interaction: str, sent: tuple[bytes, Query], parts: Parts) -> Payload:
    """Return body, its content type and all parameters, once the body is what the interaction takes."""
    body, url_query = sent
    if not body:
        if interaction in _BODIES and found.type != "Binary":
            raise _empty()
        return body, formats.FHIR_JSON, url_query
    header = head.headers.get("content-type", "")
    media = formats.parse(header)
    if found.type == "Binary" and interaction in ("create", "update") and is_content(body, media.name):
        return *_content(head, found, body, media.name), url_query
    if interaction == "operation" and (
        media.name in formats.ARCHIVES
        or (media.name in (formats.GRAPHQL, *formats.NDJSON) and found.operation in parts.any_format)
    ):
        return wrapped(body, header, {}, None), formats.FHIR_JSON, url_query
    formats.check_body_type(media)
    if media.name == formats.FORM and interaction not in _BODIES:
        return b"", formats.FHIR_JSON, url_query + query.parameters(body)
    if interaction == "patch" and media.name in _PATCHES:
        return body, media.name, url_query
    if interaction.startswith("search") or media.name not in formats.KINDS:
        raise _unsupported(interaction, header)
    return await _as_json(body, formats.KINDS[media.name], parts), formats.FHIR_JSON, url_query


def _content(head: Head, found: Route, body: bytes, name: str) -> tuple[bytes, str]:
    """Return the content of a Binary with its type. FHIR that is only content must not be taken for the resource."""
    header = head.headers.get("content-type", "")
    if formats.is_fhir(name):
        return wrapped(body, header, head.headers, found.id), formats.FHIR_JSON
    return body, header or "application/octet-stream"


async def _as_json(body: bytes, kind: formats.Kind, parts: Parts) -> bytes:
    if kind == "json":
        return body.removeprefix(_BOM)
    limits = parts.settings.max_depth
    if len(body) < _SMALL:
        return xml_to_json(body, parts.definitions, limits)
    return await asyncio.to_thread(xml_to_json, body, parts.definitions, limits)


def _bundle_interaction(body: bytes) -> str:
    """Tell a transaction from a batch; what is wrong with the body is found where it is decoded.

    Spec: https://hl7.org/fhir/R4/http.html#transaction
    """
    near = _BUNDLE_TYPE.match(body)
    if near:
        return "transaction" if near[1] == b"transaction" else "batch"
    try:
        return "transaction" if _bundle_decoder.decode(body).type == "transaction" else "batch"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "batch"


def _empty() -> BadRequest:
    return BadJson("the request has no body; one is needed", expression="http.body")


def _unsupported(interaction: str, header: str) -> UnsupportedMediaType:
    """Name what would have been taken. Spec: RFC 9110 15.5.16, RFC 5789 3.1"""
    if interaction.startswith("search"):
        takes = formats.FORM
    else:
        takes = ACCEPT_PATCH if interaction == "patch" else f"{formats.FHIR_JSON} or {formats.FHIR_XML}"
    said = f"not {header[:80]!r}" if header else "but the request has no Content-Type"
    error = UnsupportedMediaType(f"the body must be {takes}, {said}", expression="http.Content-Type")
    if interaction == "patch":
        error.headers["Accept-Patch"] = ACCEPT_PATCH
    return error
