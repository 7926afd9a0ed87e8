"""The page on which a user looks after their sign-in: password, authenticator, passkeys, where they are signed in."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from fhir_server.api.auth.browser import cookie_of, same_form
from fhir_server.api.auth.service import Service, form_of
from fhir_server.api.auth.show import go_to, message, page
from fhir_server.auth import passkeys, totp
from fhir_server.auth.desk import Desk
from fhir_server.auth.roles import counting
from fhir_server.auth.sessions import Session, close_all, find_session, sessions_of
from fhir_server.auth.users import User, update_user

FRESH = 900
"""Seconds after a sign-in in which it can be changed how one signs in."""

Form = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Account:
    """Handlers of one service."""

    service: Service

    async def show(self, request: Request) -> Response:
        """Show all of it."""
        desk = await self.service.desk(request)
        session = await find_session(desk, cookie_of(request, desk))
        if session is None:
            return go_to(f"{self.service.here(request)}/sign-in")
        return await self._page(desk, session)

    async def change(self, request: Request) -> Response:
        """Do one thing of it."""
        desk, form = await self.service.desk(request), await form_of(request)
        session = await find_session(desk, cookie_of(request, desk))
        if session is None or not same_form(session, form):
            return message("Too late", "This page has grown old. Open it again.")
        action = _ACTIONS.get(form.get("action", ""))
        if action is None:
            return message("Not understood", "There is no such action.")
        if form["action"] != "sign-out-elsewhere" and not is_fresh(desk, session):
            return message("Sign in again", "You signed in a while ago. Sign out and in again, then change this.", 403)
        return await action(self, desk, session, form, cookie_of(request, desk))

    async def _page(self, desk: Desk, session: Session) -> Response:
        user = session.user
        idle = [role for role in user.roles if role not in counting(desk.settings, user)]
        keys = [
            {"id": id_, "name": kept["name"], "since": _day(kept["created"] // 1000)}
            for id_, kept in user.passkeys.items()
        ]
        places = [
            {"browser": each.browser or "an unknown browser", "since": _day(each.since)}
            for each in await sessions_of(desk, user.id)
        ]
        shown: dict[str, Any] = {"user": user, "form": session.form, "idle": idle, "passkeys": keys, "sessions": places}
        return page("account", recovery=len(user.recovery), **shown)

    async def _start(self, desk: Desk, session: Session, form: Form, cookie: str | None) -> Response:
        return self._enrolment(desk, session, totp.new_secret())

    def _enrolment(self, desk: Desk, session: Session, secret: str, fault: str = "") -> Response:
        url = totp.address(secret, session.user.name, urlsplit(desk.base).hostname or "FHIR server")
        picture = Markup(totp.picture(url))  # noqa: S704  made by us of characters that we chose
        status = 400 if fault else 200
        return page("authenticator", status, picture=picture, secret=secret, form=session.form, fault=fault)

    async def _confirm(self, desk: Desk, session: Session, form: Form, cookie: str | None) -> Response:
        secret = form.get("secret", "")
        if len(secret) != 32 or not totp.matches(desk, secret, form.get("code", "")):
            again = secret if len(secret) == 32 and secret.isalnum() else totp.new_secret()
            return self._enrolment(desk, session, again, "The code is not right.")
        codes, digests = totp.recovery_codes()
        await _kept(desk, session.user, cookie, totp=secret, recovery=digests)
        return page("recovery", codes=codes)

    async def _codes(self, desk: Desk, session: Session, form: Form, cookie: str | None) -> Response:
        if not session.user.totp:
            return await self._page(desk, session)
        codes, digests = totp.recovery_codes()
        await _kept(desk, session.user, cookie, recovery=digests)
        return page("recovery", codes=codes)

    async def _remove(self, desk: Desk, session: Session, form: Form, cookie: str | None) -> Response:
        await _kept(desk, session.user, cookie, totp="", recovery=())
        return await self._page(desk, replace(session, user=replace(session.user, totp="", recovery=())))

    async def _forget(self, desk: Desk, session: Session, form: Form, cookie: str | None) -> Response:
        user = await passkeys.forget(desk, session.user, form.get("passkey", ""))
        return await self._page(desk, replace(session, user=user))

    async def _sign_out(self, desk: Desk, session: Session, form: Form, cookie: str | None) -> Response:
        await close_all(desk, session.user.id, but=cookie)
        return await self._page(desk, session)


async def _kept(desk: Desk, user: User, cookie: str | None, **changes: Any) -> None:
    """Keep how a user signs in from now on; other browsers have to sign in anew."""
    await update_user(desk, user.id, lambda now: replace(now, **changes))
    await close_all(desk, user.id, but=cookie)


_Action = Callable[[Account, Desk, Session, Form, str | None], Awaitable[Response]]
_ACTIONS: Mapping[str, _Action] = {
    "authenticator": Account._start,
    "authenticator-confirm": Account._confirm,
    "authenticator-remove": Account._remove,
    "recovery-codes": Account._codes,
    "passkey-remove": Account._forget,
    "sign-out-elsewhere": Account._sign_out,
}


def is_fresh(desk: Desk, session: Session) -> bool:
    """Tell whether the user signed in lately."""
    return desk.now() // 1000 - session.since <= FRESH


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
