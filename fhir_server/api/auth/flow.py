"""The way of an app to a user's decision: authorize, sign in, choose a patient, decide; each step is a page that works
without scripts.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-authorization-code
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from fhir_server.api.auth import people
from fhir_server.api.auth.browser import cookie_of, same_form, with_cookie
from fhir_server.api.auth.service import Service, form_of, tenant_of
from fhir_server.api.auth.show import go_to, message, page
from fhir_server.api.auth.subjects import subject_of
from fhir_server.api.auth.visit import Subject, Visit, back
from fhir_server.api.auth.watch import known
from fhir_server.auth.authorization import Unredirectable, issue_code, read_request
from fhir_server.auth.errors import OAuthError
from fhir_server.auth.grants import new_grant
from fhir_server.auth.passwords import fault
from fhir_server.auth.providers import Provider, providers_of
from fhir_server.auth.scopes import Scopes, parse_scopes
from fhir_server.auth.secrets import digest
from fhir_server.auth.sessions import close_all, close_session, find_session, open_session
from fhir_server.auth.totp import code_holds
from fhir_server.auth.users import User, sign_in, update_user, with_password
from fhir_server.auth.waiting import decided, keep_waiting, waiting
from fhir_server.auth.words import of_other, of_scope

_GONE = "This page has grown old. Go back to the app and start again."
_NAMED = frozenset(("fhirUser", "profile"))


@dataclass(frozen=True, slots=True)
class Flow:
    """Handlers of one service."""

    service: Service

    async def authorize(self, request: Request) -> Response:
        """Take an app's request and send the browser on, by a GET: a POST from the page of an app has no cookie."""
        desk, form = await self.service.desk(request), await form_of(request)
        try:
            asked = await read_request(desk, form)
        except Unredirectable as fault:
            return message("This app cannot sign you in", f"{fault}.")
        except OAuthError as error:
            return back(form["redirect_uri"], desk, form.get("state", ""), **error.as_json())
        handle = await keep_waiting(desk, asked)
        return go_to(f"{self.service.here(request)}/consent?{urlencode({'request': handle})}")

    async def sign_in_page(self, request: Request) -> Response:
        """Show the form; without a waiting request it leads to the user's own page."""
        desk, handle = await self.service.desk(request), request.query_params.get("request", "")
        asked = await waiting(desk, handle) if handle else None
        if handle and asked is None:
            return message("Too late", _GONE)
        if asked is None:
            return page("sign_in", handle="", app="", name="", providers=self._providers)
        values = {"handle": handle, "app": asked.client.name, "name": asked.login_hint}
        return page("sign_in", leads_to=asked.redirect_uri, providers=self._providers, **values)

    async def sign_in(self, request: Request) -> Response:
        """Check name and password, and the code of who has an authenticator."""
        desk, form = await self.service.desk(request), await form_of(request)
        handle = form.get("request", "")
        known(request, user=form.get("name", ""))
        user = await sign_in(desk, form.get("name", ""), form.get("password", ""))
        if user is None or not await code_holds(desk, user, form.get("code", "")):
            asked = await waiting(desk, handle) if handle else None
            said = "Name, password or code are not right, or the account is locked for a while."
            app, leads_to = (asked.client.name, asked.redirect_uri) if asked else ("", "")
            name = form.get("name", "")
            values = {"handle": handle, "app": app, "name": name, "fault": said}
            return page("sign_in", 403, leads_to=leads_to, providers=self._providers, **values)
        known(request, user=user.id, subject=user.subject)
        await close_session(desk, cookie_of(request, desk))
        cookie = await open_session(desk, user, request.headers.get("user-agent", ""))
        step = "password" if user.change else "consent" if handle else "manage"
        answer = go_to(f"{self.service.here(request)}/{step}?{urlencode({'request': handle})}")
        return with_cookie(answer, desk, cookie)

    @property
    def _providers(self) -> Collection[Provider]:
        return providers_of(self.service.settings.providers_file).values()

    async def password_page(self, request: Request) -> Response:
        """Ask for a password of the user's own."""
        desk = await self.service.desk(request)
        session = await find_session(desk, cookie_of(request, desk))
        if session is None:
            return go_to(f"{self.service.here(request)}/sign-in")
        handle = request.query_params.get("request", "")
        return page("new_password", handle=handle, form=session.form, length=desk.settings.password_length)

    async def password(self, request: Request) -> Response:
        """Keep the new password."""
        desk, form = await self.service.desk(request), await form_of(request)
        session = await find_session(desk, cookie_of(request, desk))
        if session is None or not same_form(session, form):
            return message("Too late", _GONE)
        new, handle = form.get("password", ""), form.get("request", "")
        said = fault(desk.settings, session.user, new)
        if said or new != form.get("again"):
            values = {"handle": handle, "form": session.form, "fault": said or "Give the same password twice."}
            return page("new_password", 400, length=desk.settings.password_length, **values)
        hashed = (await with_password(session.user, new)).password
        await update_user(desk, session.user.id, lambda now: replace(now, password=hashed, change=False))
        await close_all(desk, session.user.id, but=cookie_of(request, desk))
        step = "consent" if handle else "manage"
        return go_to(f"{self.service.here(request)}/{step}?{urlencode({'request': handle})}")

    async def consent_page(self, request: Request) -> Response:
        """Ask what is still open: the patient, the visit, the decision."""
        visit = await self._visit(request, dict(request.query_params))
        if isinstance(visit, Response):
            return visit
        prompt, trusted = visit.asked.prompt, visit.asked.client.trusted
        if "none" in prompt and not trusted:
            return visit.back(error="consent_required")
        subject = await subject_of(self.service, visit)
        if isinstance(subject, Response):
            shows = "location" not in subject.headers
            return visit.back(error="interaction_required") if "none" in prompt and shows else subject
        if trusted and "consent" not in prompt:
            return await self._granted(visit, subject, _for_user(visit.asked.scopes, visit.session.user))
        return await self._ask(visit, subject)

    async def consent(self, request: Request) -> Response:
        """Take the decision and send the browser back to the app."""
        form = await form_of(request)
        visit = await self._visit(request, form)
        if isinstance(visit, Response):
            return visit
        if not same_form(visit.session, form):
            return message("Too late", _GONE)
        if form.get("decision") != "allow":
            await decided(visit.desk, visit.handle)
            return visit.back(error="access_denied")
        subject = await subject_of(self.service, visit)
        if isinstance(subject, Response):
            return subject
        ticked = {value for name, value in form.items() if name.startswith("scope-")}
        offered = _for_user(visit.asked.scopes, visit.session.user)
        resources = tuple(scope for scope in offered.resources if scope.text in ticked)
        scopes = Scopes(resources, offered.others & ticked)
        if not str(scopes):
            await decided(visit.desk, visit.handle)
            return visit.back(error="access_denied")
        return await self._granted(visit, subject, scopes)

    async def _visit(self, request: Request, form: dict[str, str]) -> Visit | Response:
        """Find out who decides about what; who has not signed in, or too long ago, has to."""
        desk, handle = await self.service.desk(request), form.get("request", "")
        try:
            asked = await waiting(desk, handle)
        except Unredirectable as fault:
            return message("This app cannot sign you in", f"{fault}.")
        if asked is None:
            return message("Too late", _GONE)
        cookie = cookie_of(request, desk)
        session = await find_session(desk, cookie)
        if session is not None and cookie and session.since >= asked.since:
            if session.user.change:
                return go_to(f"{self.service.here(request)}/password?{urlencode({'request': handle})}")
            return Visit(desk, tenant_of(request), handle, asked, session, cookie, form)
        if "none" in asked.prompt:
            return back(asked.redirect_uri, desk, asked.state, error="login_required")
        return go_to(f"{self.service.here(request)}/sign-in?{urlencode({'request': handle})}")

    async def _ask(self, visit: Visit, subject: Subject) -> Response:
        asked, about = visit.asked, None
        if subject.patient:
            about = await people.patient(self.service, visit.tenant, visit.desk.base, subject.patient)
        offered = _for_user(asked.scopes, visit.session.user)
        scopes = [{"text": scope.text, "words": of_scope(scope)} for scope in offered.resources]
        scopes += [{"text": name, "words": of_other(name)} for name in sorted(offered.others)]
        return page(
            "consent",
            leads_to=asked.redirect_uri,
            app=asked.client.name,
            user=visit.session.user.display,
            patient=about.name if about else "",
            patient_id=subject.patient,
            encounter_id=subject.encounter or "-",
            handle=visit.handle,
            form=visit.session.form,
            scopes=scopes,
            redirect=urlsplit(asked.redirect_uri).netloc or asked.redirect_uri,
        )

    async def _granted(self, visit: Visit, subject: Subject, scopes: Scopes) -> Response:
        desk, asked, user = visit.desk, visit.asked, visit.session.user
        online = "online_access" in scopes and "offline_access" not in scopes
        grant = new_grant(
            desk, asked.client.id, str(scopes),
            user=user.id, subject=user.subject, roles=user.roles, patient=subject.patient, encounter=subject.encounter,
            context=dict(subject.more), auth_time=visit.session.since, nonce=asked.nonce,
            session=digest(visit.cookie) if online else "",
        )  # fmt: skip
        code = await issue_code(desk, asked, grant)
        await decided(desk, visit.handle)
        if asked.launch:
            await decided(desk, asked.launch)
        return visit.back(code=code)


def _for_user(scopes: Scopes, user: User) -> Scopes:
    """Return the scopes without those that cannot be true of the user: who is nobody in the record is no fhirUser."""
    return scopes if user.subject else parse_scopes(str(Scopes(scopes.resources, scopes.others - _NAMED)))
