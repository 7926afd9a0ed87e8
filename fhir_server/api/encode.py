"""FhirResponse to HTTP: status, headers and bytes, in the format that the client wants.

Spec: https://hl7.org/fhir/R4/http.html#versioning, https://hl7.org/fhir/R4/http.html#mime-type
"""

import asyncio
from collections.abc import Sequence
from email.utils import formatdate
from functools import lru_cache
from typing import NamedTuple

from fhir_server.api import cors, formats
from fhir_server.api.conditions import not_modified
from fhir_server.api.cors import RawHeaders
from fhir_server.api.decode import Head, Parts
from fhir_server.api.formats import Format
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
_SMALL = 65_536
# Compressed already, or not worth it.
_DENSE = ("image/", "video/", "audio/", "application/zip", "application/gzip", "application/octet-stream")


class Wanted(NamedTuple):
    """How the client wants its answer."""

    format: Format = formats.DEFAULT
    pretty: bool = False


class Answer(NamedTuple):
    """What goes over the wire; `length` is that of all chunks, `gzip` says that they have yet to be compressed."""

    status: int
    headers: RawHeaders
    chunks: Sequence[bytes] = ()
    length: int = 0
    gzip: bool = False


async def answer(response: FhirResponse, wanted: Wanted, head: Head, base: str, parts: Parts) -> Answer:
    """Encode the response to a request.

    Raises:
        NotAcceptable: the resource cannot be written as XML.
    """
    headers = _common(head, parts)
    own = {name.lower(): value for name, value in response.headers.items()} if response.headers else {}
    version = response.version
    if version is not None:
        # Spec: https://hl7.org/fhir/R4/http.html#versioning
        own.setdefault("etag", version.etag)
        own.setdefault("last-modified", _http_date(version.last_updated // 1000))
        if head.method not in _READS and not version.deleted:
            own.setdefault(*_place(response.status, version, base))
    headers += [(name.encode(), value.encode("latin-1", "replace")) for name, value in own.items()]
    if "cache-control" not in own:
        headers.append(_CACHE_CONTROL)
    if _is_known(response, head, own):
        return Answer(304, headers)
    if response.status in _NO_BODY:
        return Answer(response.status, headers)
    return await _with_body(response, wanted, headers, head, parts)


def plain(status: int, head: Head, parts: Parts, extra: RawHeaders) -> Answer:
    """Answer without a body (OPTIONS)."""
    return Answer(status, _common(head, parts) + extra)


def _common(head: Head, parts: Parts) -> RawHeaders:
    headers = [(b"x-request-id", head.request_id.encode()), _NO_SNIFFING, _VARY]
    if "origin" in head.headers:
        headers += cors.allowed(head.headers, parts.settings)
    if head.correlation_id is not None:
        headers.append((b"x-correlation-id", head.correlation_id.encode()))
    return headers


def _place(status: int, version: Version, base: str) -> tuple[str, str]:
    """Say where what a write made is. Spec: https://hl7.org/fhir/R4/http.html#create"""
    where = f"{base}/{version.key.type}/{version.key.id}/_history/{version.version}"
    return ("location" if status == 201 else "content-location", where)


@lru_cache(maxsize=4096)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def _is_known(response: FhirResponse, head: Head, own: dict[str, str]) -> bool:
    asks = "if-none-match" in head.headers or "if-modified-since" in head.headers
    if not asks or response.status != 200 or head.method not in _READS:
        return False
    return not_modified(head.headers, own.get("etag", ""), own.get("last-modified", ""))


async def _with_body(response: FhirResponse, wanted: Wanted, headers: RawHeaders, head: Head, parts: Parts) -> Answer:
    chunks = response.body
    media_type = response.media_type
    if chunks and media_type is None:
        headers.append((b"content-type", wanted.format.content_type))
        if wanted.pretty or wanted.format.kind == "xml":
            headers.append(_NO_SCRIPTS)
            chunks = (await _converted(b"".join(chunks), wanted, parts.definitions),)
    elif chunks and media_type is not None:
        headers += ((b"content-type", _clean(media_type)), _NO_SCRIPTS)
    length = len(chunks[0]) if len(chunks) == 1 else sum(map(len, chunks))
    if length >= parts.settings.gzip_minimum and _compresses(head, media_type):
        headers.append(_GZIP)
        return Answer(response.status, headers, chunks, length, gzip=True)
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


async def _converted(body: bytes, wanted: Wanted, definitions: Definitions) -> bytes:
    if len(body) < _SMALL:
        return _convert(body, wanted, definitions)
    return await asyncio.to_thread(_convert, body, wanted, definitions)


def _convert(body: bytes, wanted: Wanted, definitions: Definitions) -> bytes:
    if wanted.format.kind == "json":
        return pretty_json(body)
    try:
        return json_to_xml(body, definitions, pretty=wanted.pretty)
    except BadXml as error:
        raise NotAcceptable(f"this cannot be written as XML: {error}") from None
