"""Sending a browser to an OpenID provider, and taking it back."""

import logging
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from fhir_server.api.auth.browser import cookie_of, with_cookie
from fhir_server.api.auth.service import Service, form_of
from fhir_server.api.auth.show import go_to, message
from fhir_server.api.auth.watch import known
from fhir_server.auth.federation import FederationFailed, Way, begin, finish
from fhir_server.auth.providers import providers_of
from fhir_server.auth.sessions import close_session, open_session

logger = logging.getLogger(__name__)
_COOKIE = "fhir-federation"
_PATIENCE = 900


@dataclass(frozen=True, slots=True)
class Federation:
    """Handlers of one service."""

    service: Service

    async def begin(self, request: Request) -> Response:
        """Send the browser to the provider."""
        way = await self._way(request)
        if way is None:
            return message("Not known", "There is no such provider.", 404)
        try:
            url, state = await begin(way, request.query_params.get("request", ""))
        except FederationFailed as fault:
            return _failed(way, fault)
        answer = go_to(url)
        secure = way.desk.base.startswith("https:")
        # Lax: the provider sends the browser back by a navigation, which carries it.
        answer.set_cookie(_COOKIE, state, max_age=_PATIENCE, path="/", httponly=True, samesite="lax", secure=secure)
        return answer

    async def back(self, request: Request) -> Response:
        """Take the browser back, sign it in and send it on."""
        way, form = await self._way(request), await form_of(request)
        if way is None:
            return message("Not known", "There is no such provider.", 404)
        try:
            user, waiting = await finish(way, form, request.cookies.get(_COOKIE, ""))
        except FederationFailed as fault:
            return _failed(way, fault)
        known(request, user=user.name, subject=user.subject)
        await close_session(way.desk, cookie_of(request, way.desk))
        cookie = await open_session(way.desk, user, request.headers.get("user-agent", ""))
        step = "consent" if waiting else "manage"
        answer = go_to(f"{self.service.here(request)}/{step}?{urlencode({'request': waiting})}")
        answer.delete_cookie(_COOKIE, path="/")
        return with_cookie(answer, way.desk, cookie)

    async def _way(self, request: Request) -> Way | None:
        desk = await self.service.desk(request)
        provider = providers_of(self.service.settings.providers_file).get(request.path_params["provider"])
        if provider is None:
            return None
        uri = f"{self.service.here(request)}/federated/{provider.id}/back"
        return Way(desk, provider, uri, self.service.transport)


def _failed(way: Way, fault: FederationFailed) -> Response:
    logger.warning("sign-in by %s failed: %s", way.provider.id, fault)
    return message("Not signed in", f"{way.provider.name}: {fault}.", 403)
