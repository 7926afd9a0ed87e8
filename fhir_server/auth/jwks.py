"""Fetches the keys of clients from the URLs that they registered, and from nowhere that is our own.

A URL that a stranger may register must not make the server ask machines of its own network, so the addresses behind a
name are looked at, and the connection is made to the very address that was looked at. Redirects are not followed.
"""

import asyncio
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from fhir_server.auth.errors import invalid_client

_LARGEST = 100_000
_TIMEOUT = 5.0
_KEPT = 300.0
_KEPT_LONGEST = 3_600.0
_AGAIN = 10.0
_MOST = 1_000
_NAT64 = IPv6Network("64:ff9b::/96")
_MAX_AGE = re.compile(r"max-age\s*=\s*\"?(\d{1,9})")


@dataclass(frozen=True, slots=True)
class _Kept:
    """A key set, when it was fetched, and until when it may be used."""

    since: float
    until: float
    jwks: dict[str, Any]


class JwksFetcher:
    """Keeps what it fetched as long as its `Cache-Control` lets it, five minutes where that says nothing; asks again
    earlier when a key is missing, at most every ten seconds.

    Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html#response

    Args:
        inside: let it ask the machine itself and private networks, by plain HTTP too (development).
        clock: seconds; that of the event loop without.
    """

    def __init__(self, *, inside: bool = False, clock: Callable[[], float] | None = None) -> None:
        self._inside = inside
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    async def get(self, url: str, *, fresh: bool = False) -> dict[str, Any]:
        """Return the key set at a URL.

        Raises:
            OAuthError: it cannot be had.
        """
        now = self._clock() if self._clock else asyncio.get_running_loop().time()
        kept = self._kept.get(url)
        if kept and now < (min(kept.until, kept.since + _AGAIN) if fresh else kept.until):
            return kept.jwks
        try:
            async with asyncio.timeout(2 * _TIMEOUT):
                found, life = await self._fetched(url)
        except (OSError, ValueError, RecursionError, httpx.HTTPError, httpx.InvalidURL):
            raise invalid_client("the client's keys cannot be fetched from its JWKS URL") from None
        if len(self._kept) >= _MOST:
            self._kept.clear()
        self._kept[url] = _Kept(now, now + life, found)
        return found

    async def _fetched(self, url: str) -> tuple[dict[str, Any], float]:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (self._inside and parts.scheme == "http"):
            raise ValueError("not https")
        if "@" in parts.netloc:
            raise ValueError("names a user")
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        address = await self._address(host, port)
        headers = {"host": parts.netloc, "accept": "application/json", "accept-encoding": "identity"}
        async with httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False, trust_env=False) as client:
            target = httpx.URL(url).copy_with(host=address)
            request = client.build_request("GET", target, headers=headers, extensions={"sni_hostname": host})
            answer = await client.send(request, stream=True)
            try:
                body = await _limited(answer)
            finally:
                await answer.aclose()
        found = msgspec.json.decode(body)
        if not isinstance(found, dict):
            raise ValueError("no key set")
        return found, life_of(answer.headers)

    async def _address(self, host: str, port: int) -> str:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(info[4][0]) for info in found]
        if not addresses or not (self._inside or all(is_public(address) for address in addresses)):
            raise ValueError("not a public address")
        return addresses[0]


def is_public(address: str) -> bool:
    """Tell whether an address is one of the public network, and no cover for one that is not."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ip_address(int(ip) & 0xFFFFFFFF)  # type: ignore[assignment]
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def life_of(headers: Mapping[str, str]) -> float:
    """Return for how many seconds an answer may be kept."""
    said = headers.get("cache-control", "").lower()
    if "no-store" in said or "no-cache" in said:
        return 0.0
    found = _MAX_AGE.search(said)
    return min(float(found[1]), _KEPT_LONGEST) if found else _KEPT


async def _limited(answer: httpx.Response) -> bytes:
    """Return the body, which may be neither large nor compressed: what is small may unpack to much."""
    if answer.status_code != 200 or answer.headers.get("content-encoding", "identity") != "identity":
        raise ValueError("no plain answer")
    body = b""
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > _LARGEST:
            raise ValueError("too large")
    return body
