"""Fetches the keys of clients from the URLs that they registered, and from nowhere that is our own.

A URL that a stranger may register must not make the server ask machines of its own network, so the addresses behind a
name are looked at, and the connection is made to the very address that was looked at.
"""

import asyncio
import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from fhir_server.auth.errors import invalid_client

_LARGEST = 100_000
_TIMEOUT = 5.0
_KEPT = 300.0
_MOST = 1_000


class JwksFetcher:
    """Keeps what it fetched for five minutes; asks again earlier when a key is missing, at most every ten seconds.

    Args:
        inside: let it ask the machine itself and private networks, by plain HTTP too (development).
    """

    def __init__(self, *, inside: bool = False) -> None:
        self._inside = inside
        self._kept: dict[str, tuple[float, dict[str, Any]]] = {}

    async def get(self, url: str, *, fresh: bool = False) -> dict[str, Any]:
        """Return the key set at a URL.

        Raises:
            OAuthError: it cannot be had.
        """
        now = asyncio.get_running_loop().time()
        kept = self._kept.get(url)
        if kept and now - kept[0] < (10.0 if fresh else _KEPT):
            return kept[1]
        try:
            found = await self._fetched(url)
        except (OSError, ValueError, httpx.HTTPError, msgspec.DecodeError):
            if kept:
                return kept[1]
            raise invalid_client("the client's keys cannot be fetched from its JWKS URL") from None
        if len(self._kept) >= _MOST:
            self._kept.clear()
        self._kept[url] = (now, found)
        return found

    async def _fetched(self, url: str) -> dict[str, Any]:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (self._inside and parts.scheme == "http"):
            raise ValueError("not https")
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        address = await self._address(host, port)
        target = httpx.URL(url).copy_with(host=address)
        async with httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False, trust_env=False) as client:
            request = client.build_request(
                "GET",
                target,
                headers={"host": parts.netloc, "accept": "application/json"},
                extensions={"sni_hostname": host},
            )
            answer = await client.send(request, stream=True)
            try:
                answer.raise_for_status()
                body = await _limited(answer)
            finally:
                await answer.aclose()
        found = msgspec.json.decode(body)
        if not isinstance(found, dict):
            raise ValueError("no key set")
        return found

    async def _address(self, host: str, port: int) -> str:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(info[4][0]) for info in found]
        if not self._inside and any(not ipaddress.ip_address(address).is_global for address in addresses):
            raise ValueError("not a public address")
        return addresses[0]


async def _limited(answer: httpx.Response) -> bytes:
    body = b""
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > _LARGEST:
            raise ValueError("too large")
    return body
