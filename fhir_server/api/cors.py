"""Cross-origin calls from browsers. Spec: https://fetch.spec.whatwg.org/#http-cors-protocol"""

from collections.abc import Mapping

from fhir_server.settings import Settings

RawHeaders = list[tuple[bytes, bytes]]

_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_REQUEST_HEADERS = (
    b"Accept, Authorization, Cache-Control, Content-Type, If-Match, If-Modified-Since, If-None-Exist, If-None-Match, "
    b"Origin, Prefer, Range, X-Correlation-Id, X-Request-Id, X-Requested-With, X-Security-Context"
)
_EXPOSED = (
    b"access-control-expose-headers",
    b"Content-Location, Content-Range, ETag, Last-Modified, Location, Preference-Applied, Warning, X-Correlation-Id, "
    b"X-Request-Id, X-Total-Count",
)
_MAX_AGE = b"3600"


def allowed(headers: Mapping[str, str], settings: Settings) -> RawHeaders:
    """Return the headers that let the calling page read the answer; none where it may not, or is no other origin."""
    origin = headers.get("origin")
    if origin is None:
        return []
    if "*" in settings.cors_origins:
        # No credentials but the Authorization header that the page itself sets, so every origin is as good.
        return [(b"access-control-allow-origin", b"*"), _EXPOSED]
    if origin in settings.cors_origins:
        return [(b"access-control-allow-origin", origin.encode("latin-1")), _EXPOSED]
    return []


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    """Tell whether a browser asks what a page may do."""
    return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


PREFLIGHT: RawHeaders = [
    (b"access-control-allow-methods", _METHODS),
    (b"access-control-allow-headers", _REQUEST_HEADERS),
    (b"access-control-max-age", _MAX_AGE),
]


def preflight(headers: Mapping[str, str], settings: Settings) -> RawHeaders:
    """Return what a preflight is told beside `allowed`; without it the browser refuses the page."""
    return list(PREFLIGHT) if allowed(headers, settings) else []


def marks(origin: str) -> RawHeaders:
    """Return what lets the pages of one origin read an answer."""
    return [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"Origin"), _EXPOSED]
