"""What the endpoints of the authorization server share: the desk of the tenant that a URL names, and its rules."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fhir_server.api.decode import MOUNT, base_url_of
from fhir_server.api.headers import mapping
from fhir_server.api.places import place_of
from fhir_server.audit.events import Agent, Event
from fhir_server.auth.brands import Brands, load_brands
from fhir_server.auth.desk import Desk
from fhir_server.auth.errors import OAuthError
from fhir_server.auth.jwks import JwksFetcher
from fhir_server.auth.limits import Limits
from fhir_server.auth.tokens import Found, find_token
from fhir_server.errors import Busy
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.settings import Settings

_NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}
_LARGEST_FORM = 100_000
_PATIENCE = 30.0
"""Seconds in which a form must have come."""
_MOST_FIELDS = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

DeskOf = Callable[[str, str], Awaitable[Desk]]


async def closed(tenant: str, base: str) -> Desk:
    """Ask to come again, before the server is open and once it closes."""
    raise Busy("the server is starting or stopping")


Record = Callable[[str, Agent, Event], Awaitable[None]]


async def unrecorded(tenant: str, agent: Agent, event: Event) -> None:
    """Record nothing: the audit is off."""


async def silent(request: FhirRequest) -> FhirResponse:
    """Do the same for FHIR requests."""
    raise Busy("the server is starting or stopping")


@dataclass(slots=True)
class Service:
    """One for each process; `desk_of` and `ask` are set once the server is open.

    ask: runs a FHIR request of the server's own (the patient picker). record: what the audit shall have, of a tenant.
    """

    settings: Settings
    desk_of: DeskOf = closed
    ask: Callable[[FhirRequest], Awaitable[FhirResponse]] = silent
    record: Record = unrecorded
    fetcher: JwksFetcher = field(init=False)
    brands: Brands | None = field(init=False)
    limits: Limits = field(init=False)
    transport: Any = None
    """How OpenID providers are reached, where not by the network."""

    def __post_init__(self) -> None:
        self.fetcher = JwksFetcher(inside=self.settings.jwks_inside)
        self.brands = load_brands(self.settings)
        self.limits = Limits(self.settings, lambda: time.time_ns() // 1_000_000)

    async def desk(self, request: Request) -> Desk:
        """Return the desk of the tenant that the URL names."""
        return await self.desk_of(tenant_of(request), self.fhir_base(request))

    def fhir_base(self, request: Request) -> str:
        """Return the URL of the FHIR endpoint that belongs to the authorization server of this URL."""
        place = place_of(request.scope)
        root = request.scope.get("app_root_path", request.scope.get("root_path", ""))
        mount = f"{root}{place.prefix if place else ''}{MOUNT}"
        return base_url_of(place, (request.scope, mapping(request.scope["headers"])), self.settings, mount)

    def here(self, request: Request) -> str:
        """Return the URL of the authorization server itself."""
        return auth_of(self.fhir_base(request))


def auth_of(base: str) -> str:
    """Return the URL of the authorization server of a FHIR endpoint, which lies beside it."""
    return base.removesuffix("/fhir") + "/auth"


def tenant_of(request: Request) -> str:
    """Return the tenant that a URL names."""
    return str(request.path_params.get("tenant", "default"))


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form, or of the query of a GET.

    Raises:
        OAuthError: a field comes twice, which RFC 6749 forbids, or the form is too large.
    """
    if request.method == "GET":
        pairs = request.query_params.multi_items()
    else:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise OAuthError("invalid_request", "the body must be application/x-www-form-urlencoded")
        try:
            text = (await body_of(request)).decode()
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError:
            raise OAuthError("invalid_request", "the form cannot be read") from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise OAuthError("invalid_request", "a parameter is given twice")
    if any(_CONTROL.search(value) for value in found.values()):
        raise OAuthError("invalid_request", "a parameter holds control characters")
    return found


async def json_of(request: Request, error: str) -> Any:
    """Return the JSON that was sent. Raises OAuthError: it is none, with the code that is given."""
    try:
        return msgspec.json.decode(await body_of(request))
    except (msgspec.DecodeError, RecursionError):
        raise OAuthError(error, "the body is not JSON") from None


async def bearer_of(request: Request, desk: Desk) -> Found:
    """Return the access token that a request bears. Raises OAuthError: there is none, or it is not good."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    found = await find_token(desk, token.strip()) if scheme.lower() == "bearer" else None
    if found is None or found.kind != "access":
        raise OAuthError("invalid_token", "a bearer token is needed that is good", 401)
    return found


async def body_of(request: Request) -> bytes:
    """Return the body of a request, however it is sent. Raises OAuthError: it is too large, or does not come."""
    body = b""
    try:
        async with asyncio.timeout(_PATIENCE):
            async for chunk in request.stream():
                body += chunk
                if len(body) > _LARGEST_FORM:
                    raise OAuthError("invalid_request", "the body is too large", 413)
    except TimeoutError:
        raise OAuthError("invalid_request", "the body does not come", 408) from None
    return body


def answered(body: Mapping[str, Any], status: int = 200, **headers: str) -> Response:
    """Return JSON that nobody keeps."""
    return JSONResponse(dict(body), status, {**_NO_STORE, **headers})


def refused(error: OAuthError) -> Response:
    """Return the answer of an endpoint for apps that refuses."""
    scheme = "Bearer" if error.code in ("invalid_token", "insufficient_scope") else "Basic"
    challenge = {"www-authenticate": f'{scheme} realm="oauth"'} if error.status == 401 else {}
    return answered(error.as_json(), error.status, **challenge)
