"""The page on which a user sees which apps have access on their behalf, and ends it.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html#metadata (management_endpoint)
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from fhir_server.api.auth.browser import cookie_of, same_form, without_cookie
from fhir_server.api.auth.service import Service, form_of
from fhir_server.api.auth.show import go_to, message, page
from fhir_server.auth.clients import find_client
from fhir_server.auth.desk import Desk
from fhir_server.auth.grants import Grant, find_grant, revoke_grant
from fhir_server.auth.records import GRANTS
from fhir_server.auth.scopes import parse_scopes
from fhir_server.auth.sessions import close_session, find_session
from fhir_server.auth.words import of_other, of_scope
from fhir_server.storage.base import Where

_MOST = 500


@dataclass(frozen=True, slots=True)
class Management:
    """Handlers of one service."""

    service: Service

    async def show(self, request: Request) -> Response:
        """Show the apps."""
        desk = await self.service.desk(request)
        session = await find_session(desk, cookie_of(request, desk))
        if session is None:
            return go_to(f"{self.service.here(request)}/sign-in")
        shown = [await _shown(desk, grant) for grant in await _grants(desk, session.user.id)]
        return page("manage", user=session.user.display, form=session.form, grants=shown)

    async def end(self, request: Request) -> Response:
        """End one grant."""
        desk, form = await self.service.desk(request), await form_of(request)
        session = await find_session(desk, cookie_of(request, desk))
        if session is None or not same_form(session, form):
            return message("Too late", "This page has grown old. Open it again.")
        grant = await find_grant(desk, form.get("grant", ""))
        if grant is not None and grant.user == session.user.id:
            await revoke_grant(desk, grant.id)
        return go_to(f"{self.service.here(request)}/manage")

    async def sign_out(self, request: Request) -> Response:
        """Sign the browser out."""
        desk, form = await self.service.desk(request), await form_of(request)
        session = await find_session(desk, cookie_of(request, desk))
        if session is not None and same_form(session, form):
            await close_session(desk, cookie_of(request, desk))
        return without_cookie(message("Signed out", "You are signed out of this server.", 200), desk)


async def _grants(desk: Desk, user: str) -> list[Grant]:
    found = await desk.store.records.find(GRANTS.name, (Where("user", "=", user),), limit=_MOST)
    grants = [msgspec.convert(dict(record.value), Grant) for record in found]
    return [grant for grant in grants if not grant.revoked and not 0 < grant.expires <= desk.now()]


async def _shown(desk: Desk, grant: Grant) -> dict[str, Any]:
    client, scopes = await find_client(desk, grant.client), parse_scopes(grant.scopes)
    words = [of_scope(scope) for scope in scopes.resources] + [of_other(name) for name in sorted(scopes.others)]
    since = datetime.fromtimestamp(grant.created / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    return {"id": grant.id, "app": client.name if client else "an app that has gone", "words": words, "since": since}
