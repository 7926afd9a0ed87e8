"""What the script of our pages calls to make a passkey and to sign in with one. Bodies are JSON; no other site may."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from fhir_server.api.auth.account import is_fresh
from fhir_server.api.auth.browser import cookie_of, foreign, same_form, with_cookie
from fhir_server.api.auth.service import Service, answered, json_of
from fhir_server.api.auth.watch import known
from fhir_server.auth import passkeys
from fhir_server.auth.desk import Desk
from fhir_server.auth.errors import OAuthError
from fhir_server.auth.sessions import Session, close_session, find_session, open_session

_SCRIPT = (Path(__file__).parent / "passkeys.js").read_bytes()


@dataclass(frozen=True, slots=True)
class Passkeys:
    """Handlers of one service."""

    service: Service

    async def script(self, request: Request) -> Response:
        """Answer with the script."""
        return Response(_SCRIPT, media_type="text/javascript", headers={"cache-control": "max-age=300"})

    async def options(self, request: Request) -> Response:
        """Begin to make a passkey."""
        desk, session, _ = await self._signed_in(request)
        return answered(await passkeys.registration_options(desk, session.user))

    async def register(self, request: Request) -> Response:
        """Keep a passkey that was made."""
        desk, session, body = await self._signed_in(request)
        try:
            name = str(body.get("name", ""))
            await passkeys.register(desk, session.user, str(body.get("handle", "")), _credential(body), name)
        except passkeys.BadPasskey as fault:
            raise OAuthError("invalid_request", str(fault)) from None
        return answered({"location": f"{self.service.here(request)}/account"})

    async def sign_in_options(self, request: Request) -> Response:
        """Begin to sign in."""
        desk, _ = await self._asked(request)
        return answered(await passkeys.sign_in_options(desk))

    async def sign_in(self, request: Request) -> Response:
        """Sign in, and say where to go on."""
        desk, body = await self._asked(request)
        try:
            user = await passkeys.signed_in(desk, str(body.get("handle", "")), _credential(body))
        except passkeys.BadPasskey:
            raise OAuthError("access_denied", "this passkey does not sign in here", 403) from None
        known(request, user=user.name, subject=user.subject)
        await close_session(desk, cookie_of(request, desk))
        cookie = await open_session(desk, user, request.headers.get("user-agent", ""))
        handle = str(body.get("request", ""))
        step = "consent" if handle else "manage"
        answer = answered({"location": f"{self.service.here(request)}/{step}?{urlencode({'request': handle})}"})
        return with_cookie(answer, desk, cookie)

    async def _asked(self, request: Request) -> tuple[Desk, dict[str, Any]]:
        desk = await self.service.desk(request)
        if foreign(request, desk) or not request.headers.get("content-type", "").startswith("application/json"):
            raise OAuthError("access_denied", "only pages of this server ask this", 403)
        body = await json_of(request, "invalid_request")
        if not isinstance(body, dict):
            raise OAuthError("invalid_request", "the body is no JSON object")
        return desk, body

    async def _signed_in(self, request: Request) -> tuple[Desk, Session, dict[str, Any]]:
        desk, body = await self._asked(request)
        session = await find_session(desk, cookie_of(request, desk))
        if session is None or not same_form(session, {"form": str(body.get("form", ""))}):
            raise OAuthError("access_denied", "you are not signed in any more", 403)
        if session.user.change or not is_fresh(desk, session):
            raise OAuthError("access_denied", "you signed in a while ago: sign out and in again, then change this", 403)
        return desk, session, body


def _credential(body: dict[str, Any]) -> dict[str, Any]:
    credential = body.get("credential")
    if not isinstance(credential, dict):
        raise OAuthError("invalid_request", "credential is needed")
    return credential
