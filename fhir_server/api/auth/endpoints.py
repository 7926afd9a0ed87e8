"""The endpoints for apps: discovery, token, introspection, revocation, keys, registration.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fhir_server.api.auth.service import Service, answered, auth_of, form_of, refused
from fhir_server.auth import keys, token_endpoint
from fhir_server.auth.client_authentication import authenticated
from fhir_server.auth.clients import Client
from fhir_server.auth.desk import Desk
from fhir_server.auth.discovery import openid_configuration, smart_configuration
from fhir_server.auth.errors import OAuthError, invalid_client
from fhir_server.auth.introspection import introspected
from fhir_server.auth.registration import register
from fhir_server.auth.tokens import find_token, revoke_token
from fhir_server.errors import FhirError

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Handlers of one service."""

    service: Service

    async def smart(self, request: Request) -> Response:
        """Answer `.well-known/smart-configuration`."""
        base = self.service.fhir_base(request)
        return JSONResponse(smart_configuration(base, auth_of(base), registration=self._registers))

    async def openid(self, request: Request) -> Response:
        """Answer `.well-known/openid-configuration`."""
        base = self.service.fhir_base(request)
        return JSONResponse(openid_configuration(base, auth_of(base), registration=self._registers))

    async def jwks(self, request: Request) -> Response:
        """Answer with the public keys."""
        return JSONResponse(await keys.published(await self.service.desk(request)))

    async def token(self, request: Request) -> Response:
        """Answer with tokens."""
        desk, form, client = await self._client(request)
        return answered(await token_endpoint.answer(desk, client, form))

    async def introspect(self, request: Request) -> Response:
        """Tell what a token is good for, to a confidential client or the bearer of a token."""
        desk = await self.service.desk(request)
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            found = await find_token(desk, bearer.strip())
            if found is None or found.kind != "access":
                raise invalid_client("the bearer token is not good")
            form = await form_of(request)
        else:
            desk, form, client = await self._client(request)
            if client.kind == "public":
                raise invalid_client("only a confidential client may introspect")
        if not form.get("token"):
            raise OAuthError("invalid_request", "token is needed")
        return answered(await introspected(desk, form["token"]))

    async def revoke(self, request: Request) -> Response:
        """End a token. Spec: RFC 7009"""
        desk, form, client = await self._client(request)
        if not form.get("token"):
            raise OAuthError("invalid_request", "token is needed")
        await revoke_token(desk, form["token"], client.id)
        return answered({})

    async def registration(self, request: Request) -> Response:
        """Register an app, where the setting allows that anybody does. Spec: RFC 7591"""
        if not self._registers:
            raise OAuthError("access_denied", "this server registers apps by its administrators only", 403)
        try:
            asked: Any = await request.json()
        except ValueError:
            raise OAuthError("invalid_client_metadata", "the body is not JSON") from None
        return answered(await register(await self.service.desk(request), asked), 201)

    async def _client(self, request: Request) -> tuple[Desk, dict[str, str], Client]:
        desk, form = await self.service.desk(request), await form_of(request)
        here = self.service.here(request)
        client = await authenticated(
            desk, form, request.headers.get("authorization"), (f"{here}/token", desk.issuer), self.service.fetcher
        )
        return desk, form, client

    @property
    def _registers(self) -> bool:
        return self.service.settings.client_registration


def guarded(handler: Handler) -> Handler:
    """Return the handler with its refusals turned into answers."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except OAuthError as error:
            return refused(error)
        except FhirError as error:
            return answered({"error": "temporarily_unavailable", "error_description": str(error)}, error.status)

    return answer
