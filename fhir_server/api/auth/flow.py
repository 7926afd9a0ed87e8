"""The way of an app to a user's decision: authorize, sign in, choose a patient, decide; each step is a page that works
without scripts.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-authorization-code
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from fhir_server.api.auth import people
from fhir_server.api.auth.browser import cookie_of, same_form, with_cookie
from fhir_server.api.auth.service import Service, form_of, tenant_of
from fhir_server.api.auth.show import go_to, message, page
from fhir_server.auth.authorization import Asked, Unredirectable, issue_code, read_request
from fhir_server.auth.desk import Desk
from fhir_server.auth.errors import OAuthError
from fhir_server.auth.grants import new_grant
from fhir_server.auth.sessions import Session, find_session, open_session
from fhir_server.auth.totp import code_holds
from fhir_server.auth.users import save_user, sign_in, with_password
from fhir_server.auth.waiting import decided, keep_waiting, launch_of, waiting
from fhir_server.auth.words import of_other, of_scope

_GONE = "This page has grown old. Go back to the app and start again."
_SHORTEST = 12
Values = dict[str, str]


@dataclass(frozen=True, slots=True)
class _Context:
    """What the grant will be about."""

    patient: str = ""
    encounter: str = ""
    more: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Visit:
    """One request of a browser in the middle of the way."""

    desk: Desk
    handle: str
    asked: Asked
    session: Session


@dataclass(frozen=True, slots=True)
class Flow:
    """Handlers of one service."""

    service: Service

    async def authorize(self, request: Request) -> Response:
        """Take an app's request and send the browser on."""
        desk, form = await self.service.desk(request), await form_of(request)
        try:
            asked = await read_request(desk, form)
        except Unredirectable as fault:
            return message("This app cannot sign you in", f"{fault}.")
        except OAuthError as error:
            return _back(form["redirect_uri"], desk, form.get("state", ""), **error.as_json())
        session = await find_session(desk, cookie_of(request))
        fresh = session is not None and (asked.max_age < 0 or desk.now() // 1000 - session.since <= asked.max_age)
        if asked.prompt == "none" and not fresh:
            return _back(asked.redirect_uri, desk, asked.state, error="login_required")
        if asked.prompt == "none" and not asked.client.trusted:
            return _back(asked.redirect_uri, desk, asked.state, error="consent_required")
        handle = await keep_waiting(desk, asked)
        step = "consent" if fresh and asked.prompt != "login" else "sign-in"
        return go_to(f"{self.service.here(request)}/{step}?{urlencode({'request': handle})}")

    async def sign_in_page(self, request: Request) -> Response:
        """Show the form; without a waiting request it leads to the user's own page."""
        desk, handle = await self.service.desk(request), request.query_params.get("request", "")
        asked = await waiting(desk, handle) if handle else None
        if handle and asked is None:
            return message("Too late", _GONE)
        return page(
            "sign_in", handle=handle, app=asked.client.name if asked else "", name=asked.login_hint if asked else ""
        )

    async def sign_in(self, request: Request) -> Response:
        """Check name and password, and the code of who has an authenticator."""
        desk, form = await self.service.desk(request), await form_of(request)
        handle = form.get("request", "")
        user = await sign_in(desk, form.get("name", ""), form.get("password", ""))
        if user is None or not await code_holds(desk, user, form.get("code", "")):
            asked = await waiting(desk, handle) if handle else None
            said = "Name, password or code are not right, or the account is locked for a while."
            app = asked.client.name if asked else ""
            return page("sign_in", 403, handle=handle, app=app, name=form.get("name", ""), fault=said)
        cookie = await open_session(desk, user)
        step = "password" if user.change else "consent" if handle else "manage"
        answer = go_to(f"{self.service.here(request)}/{step}?{urlencode({'request': handle})}")
        return with_cookie(answer, request, cookie, desk.settings)

    async def password_page(self, request: Request) -> Response:
        """Ask for a password of the user's own."""
        desk = await self.service.desk(request)
        session = await find_session(desk, cookie_of(request))
        if session is None:
            return go_to(f"{self.service.here(request)}/sign-in")
        return page("new_password", handle=request.query_params.get("request", ""), form=session.form)

    async def password(self, request: Request) -> Response:
        """Keep the new password."""
        desk, form = await self.service.desk(request), await form_of(request)
        session = await find_session(desk, cookie_of(request))
        if session is None or not same_form(session, form):
            return message("Too late", _GONE)
        new, handle = form.get("password", ""), form.get("request", "")
        if len(new) < _SHORTEST or new != form.get("again"):
            said = f"Give the same password twice, of at least {_SHORTEST} characters."
            return page("new_password", 400, handle=handle, form=session.form, fault=said)
        await save_user(desk, await with_password(session.user, new))
        step = "consent" if handle else "manage"
        return go_to(f"{self.service.here(request)}/{step}?{urlencode({'request': handle})}")

    async def consent_page(self, request: Request) -> Response:
        """Ask what is still open: the patient, the visit, the decision."""
        visit = await self._visit(request, dict(request.query_params))
        if isinstance(visit, Response):
            return visit
        context = await self._context(visit, request, dict(request.query_params))
        if isinstance(context, Response):
            return context
        if visit.asked.client.trusted:
            return await self._granted(visit, context, str(visit.asked.scopes))
        return await self._ask(visit, context, request)

    async def consent(self, request: Request) -> Response:
        """Take the decision and send the browser back to the app."""
        form = await form_of(request)
        visit = await self._visit(request, form)
        if isinstance(visit, Response):
            return visit
        asked = visit.asked
        if not same_form(visit.session, form):
            return message("Too late", _GONE)
        if form.get("decision") != "allow":
            await decided(visit.desk, visit.handle)
            return _back(asked.redirect_uri, visit.desk, asked.state, error="access_denied")
        context = await self._context(visit, request, form)
        if isinstance(context, Response):
            return context
        ticked = {value for name, value in form.items() if name.startswith("scope-")}
        names = [*sorted(asked.scopes.others), *(scope.text for scope in asked.scopes.resources)]
        scopes = " ".join(name for name in names if name in ticked)
        if not scopes:
            return _back(asked.redirect_uri, visit.desk, asked.state, error="access_denied")
        return await self._granted(visit, context, scopes)

    async def _visit(self, request: Request, form: Values) -> _Visit | Response:
        desk, handle = await self.service.desk(request), form.get("request", "")
        try:
            asked = await waiting(desk, handle)
        except Unredirectable as fault:
            return message("This app cannot sign you in", f"{fault}.")
        if asked is None:
            return message("Too late", _GONE)
        session = await find_session(desk, cookie_of(request))
        if session is None:
            return go_to(f"{self.service.here(request)}/sign-in?{urlencode({'request': handle})}")
        return _Visit(desk, handle, asked, session)

    async def _context(self, visit: _Visit, request: Request, form: Values) -> _Context | Response:
        """Return what the grant will be about, or the page that asks for it."""
        asked, desk = visit.asked, visit.desk
        if asked.launch:
            launch = await launch_of(desk, asked.launch, asked.client.id, visit.session.user.id)
            if launch is None:
                await decided(desk, visit.handle)
                said = "the launch is not known: too old, or for another app or user"
                return _back(asked.redirect_uri, desk, asked.state, error="invalid_request", error_description=said)
            more = {name: value for name, value in launch.items() if name not in ("patient", "encounter")}
            return _Context(launch.get("patient", ""), launch.get("encounter", ""), more)
        if not _needs_patient(asked):
            return _Context()
        chosen = await self._chosen_patient(visit, request, form)
        if isinstance(chosen, Response) or "launch/encounter" not in asked.scopes:
            return chosen if isinstance(chosen, Response) else _Context(chosen)
        return await self._chosen_encounter(visit, request, form, chosen)

    async def _chosen_patient(self, visit: _Visit, request: Request, form: Values) -> str | Response:
        """A patient is about themselves; others choose."""
        type_, _, id_ = visit.session.user.subject.partition("/")
        if type_ == "Patient":
            return id_
        tenant, base = tenant_of(request), visit.desk.base
        if chosen := form.get("patient", ""):
            found = await people.patient(self.service, tenant, base, chosen)
            if found is not None:
                return found.id
        find = form.get("find", "")
        shown = await people.patients(self.service, tenant, base, find) if find else []
        return page("patient", app=visit.asked.client.name, handle=visit.handle, find=find, patients=shown)

    async def _chosen_encounter(
        self, visit: _Visit, request: Request, form: Values, patient: str
    ) -> _Context | Response:
        shown = await people.encounters(self.service, tenant_of(request), visit.desk.base, patient)
        chosen = form.get("encounter", "")
        if chosen == "-" or not shown:
            return _Context(patient)
        if any(encounter.id == chosen for encounter in shown):
            return _Context(patient, chosen)
        return page("encounter", handle=visit.handle, patient=patient, encounters=shown)

    async def _ask(self, visit: _Visit, context: _Context, request: Request) -> Response:
        asked = visit.asked
        about = (
            await people.patient(self.service, tenant_of(request), visit.desk.base, context.patient)
            if context.patient
            else None
        )
        scopes = [{"text": name, "words": of_other(name)} for name in sorted(asked.scopes.others)]
        scopes += [{"text": scope.text, "words": of_scope(scope)} for scope in asked.scopes.resources]
        return page(
            "consent",
            app=asked.client.name,
            user=visit.session.user.display,
            patient=about.name if about else "",
            patient_id=context.patient,
            encounter_id=context.encounter or "-",
            handle=visit.handle,
            form=visit.session.form,
            scopes=scopes,
            redirect=urlsplit(asked.redirect_uri).netloc or asked.redirect_uri,
        )

    async def _granted(self, visit: _Visit, context: _Context, scopes: str) -> Response:
        desk, asked, user = visit.desk, visit.asked, visit.session.user
        grant = new_grant(
            desk, asked.client.id, scopes,
            user=user.id, subject=user.subject, roles=user.roles, patient=context.patient, encounter=context.encounter,
            context=context.more or {}, auth_time=visit.session.since, nonce=asked.nonce,
        )  # fmt: skip
        code = await issue_code(desk, asked, grant)
        await decided(desk, visit.handle)
        return _back(asked.redirect_uri, desk, asked.state, code=code)


def _needs_patient(asked: Asked) -> bool:
    return "launch/patient" in asked.scopes or "patient" in asked.scopes.levels() or "launch/encounter" in asked.scopes


def _back(redirect_uri: str, desk: Desk, state: str, **values: str) -> Response:
    """Send the browser back to the app; `iss` tells it who answers (RFC 9207)."""
    given = {**values, "state": state, "iss": desk.issuer}
    joint = "&" if urlsplit(redirect_uri).query else "?"
    return go_to(f"{redirect_uri}{joint}{urlencode({name: value for name, value in given.items() if value})}")
