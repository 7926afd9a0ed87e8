"""Request headers: made one mapping, checked, and the public address of the server read from them."""

import os
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_address, ip_network
from itertools import count
from typing import Any

from fhir_server.errors import BadRequest, BadValue
from fhir_server.settings import Settings

Scope = Mapping[str, Any]

_REQUEST_ID = re.compile(r"[A-Za-z0-9._~:/+=@\-]{1,128}", re.ASCII)
_PRINTABLE = re.compile(r"[\x20-\x7e]{1,256}", re.ASCII)
_HOST = re.compile(r"(?:[A-Za-z0-9._\-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?", re.ASCII)
NO_HOST = "the Host header is not the name of a host"
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~\-]+)*/?", re.ASCII)
_ETAGS = re.compile(
    r'\s*(?:\*|(?:W/)?(?:"[^"\s]*"|[A-Za-z0-9.\-]+)(?:\s*,\s*(?:W/)?(?:"[^"\s]*"|[A-Za-z0-9.\-]+))*)\s*'
)
_requests = count(1)
_SINGLE = ("host", "content-type", "content-length", "authorization", "if-modified-since", "x-request-id")
_FORWARDED = frozenset(("forwarded", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-prefix"))


def mapping(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by lower-case name; those sent more than once are joined with commas (RFC 9110 5.3)."""
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def check(raw: list[tuple[bytes, bytes]], headers: Mapping[str, str]) -> None:
    """Refuse headers that cannot be read in one way only.

    Raises:
        BadRequest: a header that may stand once stands twice.
        BadValue: If-Match or If-None-Match is not a list of entity tags.
    """
    if len(raw) != len(headers):
        _check_repeated(raw)
    for name in ("if-match", "if-none-match"):
        value = headers.get(name)
        if value is not None and (len(value) > 4096 or not _ETAGS.fullmatch(value)):
            raise BadValue(f'{name} must be entity tags such as W/"1", or *', expression=f"http.{name}")


def _check_repeated(raw: list[tuple[bytes, bytes]]) -> None:
    names = [name for name, _ in raw]
    for single in _SINGLE:
        if names.count(single.encode()) > 1:
            raise BadRequest(f"the header {single} stands twice", expression=f"http.{single}")


def request_id(headers: Mapping[str, str]) -> tuple[str, str | None]:
    """Return the id of this request, and the client's own where that could not be taken over.

    Spec: https://hl7.org/fhir/R4/http.html#custom
    """
    asked = headers.get("x-request-id")
    if asked is None:
        return _fresh_id(), None
    if _REQUEST_ID.fullmatch(asked):
        return asked, None
    return _fresh_id(), asked if _PRINTABLE.fullmatch(asked) else None


def _fresh_id() -> str:
    """The random name of this process and the number of the request."""
    return f"{_process.name}-{next(_requests)}"


class _Process:
    """A name that no other process has; a forked child gets its own."""

    def __init__(self) -> None:
        self.rename()
        os.register_at_fork(after_in_child=self.rename)

    def rename(self) -> None:
        """Choose a name at random."""
        self.name = os.urandom(8).hex()


_process = _Process()


def base_url(scope: Scope, headers: Mapping[str, str], settings: Settings, mount: str, known: str | None = None) -> str:
    """Return the absolute URL of the FHIR endpoint as the client sees it, without a final slash.

    Args:
        known: the public URL, where it does not depend on the request; that of the settings if nothing is said.

    Raises:
        BadRequest: the Host header is no host.
    """
    if known is None:
        known = settings.base_url
    if known:
        return known.rstrip("/")
    if not headers.keys().isdisjoint(_FORWARDED) and _trusted(scope.get("client"), settings):
        return _forwarded_base(scope, headers, mount)
    return _base(scope.get("scheme", "http"), headers.get("host") or _address(scope), mount)


def is_host(text: str) -> bool:
    """Tell whether a text is a host, with or without a port."""
    return _HOST.fullmatch(text) is not None


@lru_cache(maxsize=256)
def _base(scheme: str, host: str, mount: str) -> str:
    if not is_host(host):
        raise BadRequest(NO_HOST, expression="http.Host")
    return f"{scheme}://{host}{mount}"


def _address(scope: Scope) -> str:
    server = scope.get("server")
    if not isinstance(server, (tuple, list)) or not server[0]:
        return "localhost"
    host = f"[{server[0]}]" if ":" in str(server[0]) else str(server[0])
    return f"{host}:{server[1]}" if server[1] else host


def _forwarded_base(scope: Scope, headers: Mapping[str, str], mount: str) -> str:
    """Read what a proxy says; of several the first entry is the one nearest to the client."""
    said = _standard(headers.get("forwarded", ""))
    scheme = _first(headers, "x-forwarded-proto") or said.get("proto") or str(scope.get("scheme", "http"))
    host = _first(headers, "x-forwarded-host") or said.get("host") or headers.get("host") or _address(scope)
    port = _first(headers, "x-forwarded-port")
    prefix = _first(headers, "x-forwarded-prefix")
    if port.isascii() and port.isdigit() and ":" not in host.rpartition("]")[2]:
        host = host if port == {"http": "80", "https": "443"}.get(scheme) else f"{host}:{port}"
    if scheme not in ("http", "https") or not _PREFIX.fullmatch(prefix):
        raise BadRequest("the X-Forwarded headers cannot be read", expression="http.X-Forwarded-Proto")
    return _base(scheme, host, prefix.rstrip("/") + mount)


def named_host(scope: Scope, headers: Mapping[str, str], settings: Settings) -> str:
    """Return the name of the host that a client asked for, folded and without its port."""
    host = headers.get("host", "")
    if not headers.keys().isdisjoint(_FORWARDED) and _trusted(scope.get("client"), settings):
        host = _first(headers, "x-forwarded-host") or _standard(headers.get("forwarded", "")).get("host") or host
    return host.rpartition("@")[2].partition(":")[0].lower().rstrip(".")


def client_address(scope: Scope, headers: Mapping[str, str], settings: Settings) -> str:
    """Return the address that a request came from: the last one that no proxy of ours has. Empty for a socket file."""
    client = scope.get("client")
    host = str(client[0]) if isinstance(client, (tuple, list)) and client else ""
    said = headers.get("x-forwarded-for")
    if not said or not _trusted(client, settings):
        return host
    for part in reversed(said.split(",")):
        host = _host(part.strip()) or host
        if not _is_one_of(host, settings.trusted_proxies):
            break
    return host


def _host(text: str) -> str:
    """Return an address without its port; empty for what is none."""
    bare = text[1:].partition("]")[0] if text.startswith("[") else text
    bare = bare.partition(":")[0] if bare.count(":") == 1 else bare
    try:
        return str(ip_address(bare))
    except ValueError:
        return ""


def _first(headers: Mapping[str, str], name: str) -> str:
    return headers.get(name, "").partition(",")[0].strip()


def _standard(forwarded: str) -> dict[str, str]:
    """Read the first element of Forwarded. Spec: RFC 7239"""
    pairs = (part.partition("=") for part in forwarded.partition(",")[0].split(";"))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def _trusted(client: object, settings: Settings) -> bool:
    """Tell whether the peer is a proxy of ours; `unix` names a peer on a socket file."""
    host = str(client[0]) if isinstance(client, (tuple, list)) and client else "unix"
    return _is_one_of(host, settings.trusted_proxies)


@lru_cache(maxsize=1024)
def _is_one_of(host: str, proxies: tuple[str, ...]) -> bool:
    if host in proxies or "*" in proxies:
        return True
    try:
        address = ip_address(host)
        return any(address in ip_network(proxy, strict=False) for proxy in proxies if "/" in proxy)
    except ValueError:
        return False
