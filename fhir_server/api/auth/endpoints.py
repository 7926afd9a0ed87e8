"""The endpoints for apps: discovery, token, introspection, revocation, keys, registration.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fhir_server.api.auth.launches import new_launch
from fhir_server.api.auth.service import Service, answered, auth_of, bearer_of, form_of, json_of, refused
from fhir_server.api.auth.watch import known
from fhir_server.auth import keys, token_endpoint
from fhir_server.auth.client_authentication import authenticated
from fhir_server.auth.clients import Client
from fhir_server.auth.desk import Desk
from fhir_server.auth.discovery import oauth_metadata, openid_configuration, smart_configuration, style
from fhir_server.auth.errors import OAuthError, invalid_client
from fhir_server.auth.introspection import introspected
from fhir_server.auth.registration import register
from fhir_server.auth.scopes import INTROSPECT, parse_scopes
from fhir_server.auth.tokens import revoke_token
from fhir_server.errors import FhirError

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Handlers of one service."""

    service: Service

    async def smart(self, request: Request) -> Response:
        """Answer `.well-known/smart-configuration`."""
        base = self.service.fhir_base(request)
        brands = self.service.brands
        return JSONResponse(smart_configuration(base, auth_of(base), registration=self._registers, brands=brands))

    async def openid(self, request: Request) -> Response:
        """Answer `.well-known/openid-configuration`."""
        base = self.service.fhir_base(request)
        return JSONResponse(openid_configuration(base, auth_of(base), registration=self._registers))

    async def oauth(self, request: Request) -> Response:
        """Answer with the metadata of the authorization server. Spec: RFC 8414"""
        base = self.service.fhir_base(request)
        return JSONResponse(oauth_metadata(base, auth_of(base), registration=self._registers))

    async def jwks(self, request: Request) -> Response:
        """Answer with the public keys."""
        return JSONResponse(await keys.published(await self.service.desk(request)))

    async def token(self, request: Request) -> Response:
        """Answer with tokens."""
        desk, form, client = await self._client(request)
        return answered(await token_endpoint.answer(desk, client, form))

    async def introspect(self, request: Request) -> Response:
        """Tell a confidential client, or the bearer of a token, what a token is good for.

        The scope `__introspect` lets it ask for tokens of all clients; without it it may ask for its own.

        Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/token-introspection.html
        """
        if request.headers.get("authorization", "").lower().startswith("bearer "):
            desk = await self.service.desk(request)
            found, form = await bearer_of(request, desk), await form_of(request)
            asking, scopes = found.grant.client, found.scopes
        else:
            desk, form, client = await self._client(request)
            if client.kind == "public":
                raise invalid_client("only a confidential client, or the bearer of a token, may introspect")
            asking, scopes = client.id, client.scopes
        if not form.get("token"):
            raise OAuthError("invalid_request", "token is needed")
        whose = None if INTROSPECT in parse_scopes(scopes) else asking
        return answered(await introspected(desk, form["token"], whose))

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
        asked = await json_of(request, "invalid_client_metadata")
        return answered(await register(await self.service.desk(request), asked), 201)

    async def launch(self, request: Request) -> Response:
        """Take the context that an EHR launches an app with; see api/auth/launches."""
        return await new_launch(self.service, request)

    async def style(self, request: Request) -> Response:
        """Answer with the style that apps may take over."""
        return JSONResponse(style(), headers={"cache-control": "max-age=3600"})

    async def brands(self, request: Request) -> Response:
        """Answer with the brand bundle. Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/brands.html"""
        brands = self.service.brands
        if brands is None:
            return JSONResponse({"error": "not_found"}, 404)
        headers = {"etag": brands.etag, "cache-control": "max-age=3600"}
        if brands.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(brands.body, headers=headers, media_type="application/fhir+json")

    async def _client(self, request: Request) -> tuple[Desk, dict[str, str], Client]:
        desk, form = await self.service.desk(request), await form_of(request)
        known(request, client=form.get("client_id", ""))
        here = self.service.here(request)
        client = await authenticated(
            desk, form, request.headers.get("authorization"), (f"{here}/token", desk.issuer), self.service.fetcher
        )
        known(request, client=client.id)
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
