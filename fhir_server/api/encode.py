"""FhirResponse to HTTP: status, headers and bytes, in the format that the client wants.

Spec: https://hl7.org/fhir/R4/http.html#versioning, https://hl7.org/fhir/R4/http.html#mime-type
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Sequence
from email.utils import formatdate
from functools import lru_cache
from typing import NamedTuple

from fhir_server.api import cors, formats
from fhir_server.api.conditions import not_modified
from fhir_server.api.cors import RawHeaders
from fhir_server.api.decode import Head, Parts
from fhir_server.api.formats import Wanted
from fhir_server.api.xml import json_to_xml
from fhir_server.definitions import Definitions
from fhir_server.errors import BadXml, NotAcceptable
from fhir_server.model.exchange import FhirResponse
from fhir_server.model.json import pretty as pretty_json
from fhir_server.model.version import Version

# What a client stored must be neither sniffed nor run in a page of this origin; XML and raw content can hold scripts.
_NO_SNIFFING = (b"x-content-type-options", b"nosniff")
_NO_SCRIPTS = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox")
_VARY = (b"vary", b"Accept, Accept-Encoding, Authorization, Origin")
_CACHE_CONTROL = (b"cache-control", b"private, no-cache")
_GZIP = (b"content-encoding", b"gzip")
_READS = frozenset(("GET", "HEAD"))
_NO_BODY = frozenset((204, 304))
SLAB = 65_536
"""Bytes up to which a body leaves in one piece and is worked on where it stands, not in a thread."""

GZIP_LEVEL, GZIP_WINDOW = 1, 31
# Compressed already, or not worth it.
_DENSE = ("image/", "video/", "audio/", "application/zip", "application/gzip", "application/octet-stream")


class Answer(NamedTuple):
    """What goes over the wire; `length` is that of all chunks, `gzip` says that they have yet to be compressed.

    That is so for large bodies, which have no Content-Length then, for it is not known. `stream` stands for `chunks`.
    """

    status: int
    headers: RawHeaders
    chunks: Sequence[bytes] = ()
    length: int = 0
    gzip: bool = False
    stream: AsyncIterator[bytes] | None = None


def answer(response: FhirResponse, wanted: Wanted, head: Head, base: str, parts: Parts) -> Answer:
    """Encode a response whose body is in the wanted format already."""
    headers: RawHeaders = [(b"x-request-id", head.request_id.encode()), _NO_SNIFFING, _VARY, _CACHE_CONTROL]
    if response.version is not None:
        headers += _of_version(response.version, response.status, head.method, base)
    if response.headers:
        headers = _with_own(headers, response)
    if "origin" in head.headers or head.correlation_id is not None:
        headers += _for_client(head, parts)
    if _is_known(response, head, headers):
        return Answer(304, headers)
    if response.status in _NO_BODY:
        return Answer(response.status, headers)
    return _with_body(response, wanted, headers, head, parts)


_WHOLE = b"\r\n".join((
    b"HTTP/1.1 200 OK", b"x-request-id: %b", *[b"%b: %b" % field for field in (_NO_SNIFFING, _VARY, _CACHE_CONTROL)],
    b'etag: W/"%d"', b"last-modified: %b", b"content-type: %b", b"content-length: %d", b"", b"%b",
))  # fmt: skip
_MAKE_A_DIFFERENCE = frozenset(("origin", "if-none-match", "if-modified-since", "accept-encoding"))


def whole(response: FhirResponse, wanted: Wanted, head: Head) -> bytes | None:
    """Return head and body of the commonest answer, one version to a plain GET, as one piece: the same that `answer`
    comes to. None for any other."""
    version = response.version
    if version is None or response.status != 200 or response.headers or response.media_type is not None:
        return None
    if head.method != "GET" or head.correlation_id is not None or len(response.body) != 1:
        return None
    if not head.headers.keys().isdisjoint(_MAKE_A_DIFFERENCE):
        return None
    body = response.body[0]
    if len(body) > SLAB:
        return None
    return _WHOLE % (
        head.request_id.encode(), version.version, _http_date(version.last_updated // 1000),
        wanted.format.content_type, len(body), body,
    )  # fmt: skip


def plain(status: int, head: Head, parts: Parts, extra: RawHeaders) -> Answer:
    """Answer without a body (OPTIONS)."""
    return Answer(status, [(b"x-request-id", head.request_id.encode()), _VARY, *_for_client(head, parts), *extra])


def _of_version(version: Version, status: int, method: str, base: str) -> RawHeaders:
    """Spec: https://hl7.org/fhir/R4/http.html#versioning, https://hl7.org/fhir/R4/http.html#create"""
    found = [(b"etag", b'W/"%d"' % version.version), (b"last-modified", _http_date(version.last_updated // 1000))]
    if method not in _READS and not version.deleted:
        where = f"{base}/{version.key.type}/{version.key.id}/_history/{version.version}"
        found.append((b"location" if status == 201 else b"content-location", where.encode()))
    return found


def _with_own(headers: RawHeaders, response: FhirResponse) -> RawHeaders:
    """Add the headers that the response names itself; they go before the others."""
    own = {name.lower().encode(): value.encode("latin-1", "replace") for name, value in response.headers.items()}
    return [field for field in headers if field[0] not in own] + list(own.items())


def _for_client(head: Head, parts: Parts) -> RawHeaders:
    headers = cors.allowed(head.headers, parts.settings)
    if head.correlation_id is not None:
        headers.append((b"x-correlation-id", head.correlation_id.encode()))
    return headers


@lru_cache(maxsize=4096)
def _http_date(seconds: int) -> bytes:
    return formatdate(seconds, usegmt=True).encode()


def _is_known(response: FhirResponse, head: Head, headers: RawHeaders) -> bool:
    asks = "if-none-match" in head.headers or "if-modified-since" in head.headers
    if not asks or response.status != 200 or head.method not in _READS:
        return False
    named = dict(headers)
    return not_modified(head.headers, named.get(b"etag", b"").decode(), named.get(b"last-modified", b"").decode())


def _with_body(response: FhirResponse, wanted: Wanted, headers: RawHeaders, head: Head, parts: Parts) -> Answer:
    chunks = response.body
    media_type = response.media_type
    if response.stream is not None:
        headers += ((b"content-type", _clean(media_type or "application/octet-stream")), _NO_SCRIPTS)
        return Answer(response.status, headers, stream=response.stream)
    if chunks and media_type is None:
        headers.append((b"content-type", wanted.format.content_type))
        if wanted.format.kind == "xml":
            headers.append(_NO_SCRIPTS)
    elif chunks and media_type is not None:
        headers += ((b"content-type", _clean(media_type)), _NO_SCRIPTS)
    length = len(chunks[0]) if len(chunks) == 1 else sum(map(len, chunks))
    if length >= parts.settings.gzip_minimum and _compresses(head, media_type):
        headers.append(_GZIP)
        if length > SLAB:
            return Answer(response.status, headers, chunks, length, gzip=True)
        packed = zlib.compress(b"".join(chunks), GZIP_LEVEL, GZIP_WINDOW)
        chunks, length = (packed,), len(packed)
    headers.append((b"content-length", b"%d" % length))
    return Answer(response.status, headers, chunks, length)


def _clean(media_type: str) -> bytes:
    """Let no stored content type break out of its header line."""
    return "".join(c for c in media_type if c.isprintable()).encode("latin-1", "replace") or b"application/octet-stream"


def _compresses(head: Head, media_type: str | None) -> bool:
    accepted = head.headers.get("accept-encoding")
    if not accepted or not formats.takes_gzip(accepted):
        return False
    return media_type is None or not media_type.lower().startswith(_DENSE)


async def converted(response: FhirResponse, wanted: Wanted, definitions: Definitions) -> FhirResponse:
    """Return a response with its resource as XML or indented, where that is wanted.

    Raises:
        NotAcceptable: the resource cannot be written as XML.
    """
    if wanted.as_stored or response.media_type is not None or not response.body:
        return response
    body = b"".join(response.body)
    if len(body) < SLAB:
        body = _convert(body, wanted, definitions)
    else:
        body = await asyncio.to_thread(_convert, body, wanted, definitions)
    return FhirResponse(response.status, (body,), response.version, response.headers)


def _convert(body: bytes, wanted: Wanted, definitions: Definitions) -> bytes:
    if wanted.format.kind == "json":
        return pretty_json(body)
    try:
        return json_to_xml(body, definitions, pretty=wanted.pretty)
    except BadXml as error:
        raise NotAcceptable(f"this cannot be written as XML: {error}") from None
