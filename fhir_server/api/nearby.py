"""What a server without authorization asks of a request: that it is for this machine, and of no page from elsewhere.

Any page that somebody opens may call `http://127.0.0.1:8080` from their browser, and may have its own name lead there
(DNS rebinding), so that the browser takes the record for a part of the page. Only the headers tell.
"""

from collections.abc import Container
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from fhir_server.api.decode import LINES
from fhir_server.api.headers import NO_HOST, Scope, is_host, mapping
from fhir_server.errors import BadRequest, FhirError, Forbidden, Misdirected
from fhir_server.settings import Settings

_NEARBY: Final = "nearby"
_SHOWN: Final = 100


class Nearby:
    """Looks at requests that come in on addresses of this machine alone; others have no page to fear."""

    def __init__(self, settings: Settings) -> None:
        named = {name.lower() for name in settings.allowed_hosts}
        self._hosts = frozenset({*named, urlsplit(settings.base_url).hostname} - {None})
        self._origins = frozenset(settings.cors_origins)

    def refusal(self, scope: Scope, tenants: Container[str]) -> FhirError | None:
        """Return why a request is not answered; `tenants`: hosts of tenants.

        Header lines that were let in once on a connection are not read again.
        """
        known: dict[str, Any] | None = scope.get(LINES)
        if (known is not None and _NEARBY in known) or not is_here(_listening(scope)):
            return None
        headers = mapping(scope["headers"])
        refused = self._of_host(headers.get("host"), tenants) or self._of_page(headers.get("origin"), tenants)
        if known is not None and refused is None:
            known[_NEARBY] = True
        return refused

    def _of_host(self, host: str | None, tenants: Container[str]) -> FhirError | None:
        if not host or self._is_ours(_name(host), tenants):
            return None
        if not is_host(host):
            return BadRequest(NO_HOST, expression="http.Host")
        return Misdirected(
            f"without authorization (auth=none) requests are taken for this machine alone, not for the host "
            f"{host[:_SHOWN]!r}; if that is this server, list it in the setting allowed_hosts",
            expression="http.Host",
        )

    def _of_page(self, origin: str | None, tenants: Container[str]) -> FhirError | None:
        if origin is None or origin in self._origins or self._is_ours(_name(origin.partition("://")[2]), tenants):
            return None
        return Forbidden(
            f"without authorization (auth=none) pages of {origin[:_SHOWN]!r} may not call this server; if they are "
            "yours, list that origin in the setting cors_origins (`*` is not enough here)",
            expression="http.Origin",
        )

    def _is_ours(self, name: str, tenants: Container[str]) -> bool:
        return is_here(name) or name in self._hosts or name in tenants


def is_here(name: str) -> bool:
    """Tell whether a host is this machine, as its own processes know it. Spec: RFC 6761 6.3"""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def _listening(scope: Scope) -> str:
    """Return the address that a request came in on; empty for a socket file."""
    server = scope.get("server")
    return str(server[0]) if isinstance(server, (tuple, list)) else ""


def _name(host: str) -> str:
    """Return a host without its port, folded: `[::1]:8080` is `::1`."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower().rstrip(".")
