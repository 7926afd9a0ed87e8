"""OutsideOnly: HTTP to addresses of the public network alone, so that nobody can have the server ask its own network.

A name is looked up once, all its addresses are checked, and the connection goes to one of these: a name that changes
its mind in between gains nothing. Redirects have to go through it too, or not be followed.
"""

import asyncio
import socket
from functools import cached_property
from ipaddress import ip_address

import httpx

from fhir_server.auth.jwks import is_public
from fhir_server.telemetry.tracing import outgoing


class OutsideOnly(httpx.AsyncBaseTransport):
    """A transport for httpx.AsyncClient(transport=..., trust_env=False). While traces are on, it says what a call is
    part of.

    Args:
        inside: let private addresses be reached too (a setting of the operator).
    """

    def __init__(self, *, inside: bool = False) -> None:
        self._inside = inside

    @cached_property
    def _transport(self) -> httpx.AsyncHTTPTransport:
        """Made when it is needed: it reads all certificates that the machine trusts."""
        return httpx.AsyncHTTPTransport(retries=0)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. Raises ConnectError: its host is not one that may be asked."""
        request.headers.update(outgoing())
        if self._inside:
            return await self._transport.handle_async_request(request)
        url = request.url
        if url.userinfo:
            raise httpx.ConnectError("the URL names a user", request=request)
        address = await _public(url.host, url.port or (443 if url.scheme == "https" else 80), request)
        request.extensions = {**request.extensions, "sni_hostname": url.host}
        request.url = url.copy_with(host=f"[{address}]" if ":" in address else address)
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        """Close all connections."""
        if "_transport" in self.__dict__:
            await self._transport.aclose()


async def _public(host: str, port: int, request: httpx.Request) -> str:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(info[4][0]) for info in found]
    except (OSError, UnicodeError) as error:  # the latter: a label that is empty or too long
        raise httpx.ConnectError("the host cannot be found", request=request) from error
    if not addresses or not all(map(is_public, addresses)):
        raise httpx.ConnectError("the host is not in the public network", request=request)
    return addresses[0]


def may_be_outside(host: str) -> bool:
    """Tell whether a host can be one of the public network, as far as its name alone says."""
    try:
        return is_public(str(ip_address(host.strip("[]"))))
    except ValueError:
        return "." in host and not host.endswith((".localhost", ".local", ".internal"))
