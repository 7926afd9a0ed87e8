"""The endpoint of app state: `POST`, `PUT`, `DELETE` and `GET` of `Basic` at a place of its own.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-state.html
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fhir_server.api.auth.service import Service, tenant_of
from fhir_server.api.auth.watch import known
from fhir_server.auth import app_state as states
from fhir_server.auth.clients import Client, find_client
from fhir_server.auth.desk import Desk
from fhir_server.auth.discovery import APP_STATE
from fhir_server.auth.records import APP_STATE as RECORDS
from fhir_server.auth.scopes import Scopes, parse_scopes
from fhir_server.auth.tokens import Found, find_token
from fhir_server.errors import BadRequest, BadValue, FhirError, Forbidden, PreconditionFailed, TooLarge, Unauthorized
from fhir_server.model.exchange import FhirRequest
from fhir_server.model.version import instant
from fhir_server.storage.base import Record

_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_TYPE = "application/fhir+json"


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks: the app and its grant."""

    desk: Desk
    found: Found
    client: Client
    scopes: Scopes


@dataclass(frozen=True, slots=True)
class AppState:
    """Handlers of one service."""

    service: Service

    async def create(self, request: Request) -> Response:
        """Store a new state."""
        asking = await self._asking(request)
        state = states.read_state(asking.desk, await self._body(request))
        await self._let(request, asking, ("c", state.code, state.subject))
        return self._answer(request, asking.desk, await states.create_state(asking.desk, asking.client, state), 201)

    async def update(self, request: Request) -> Response:
        """Replace a state; If-Match is needed."""
        asking, id_ = await self._asking(request), str(request.path_params["id"])
        state = states.read_state(asking.desk, await self._body(request), id_)
        await self._let(request, asking, ("u", state.code, state.subject))
        record = await states.matching(asking.desk, id_, _if_match(request))
        return self._answer(request, asking.desk, await states.update_state(asking.desk, record, state))

    async def delete(self, request: Request) -> Response:
        """Delete a state; If-Match is needed."""
        asking = await self._asking(request)
        record = await states.matching(asking.desk, str(request.path_params["id"]), _if_match(request))
        await self._let(request, asking, ("d", str(record.value["code"]), str(record.value["subject"])))
        await states.delete_state(asking.desk, record)
        return Response(None, 204, _HEADERS)

    async def read(self, request: Request) -> Response:
        """Give a state by its id, to who may search for it."""
        asking = await self._asking(request)
        record = await asking.desk.get(RECORDS.name, str(request.path_params["id"]))
        if record is None:
            raise Forbidden("there is no such state, or none for this app", expression="http.url")
        await self._let(request, asking, ("s", str(record.value["code"]), str(record.value["subject"])))
        return self._answer(request, asking.desk, record)

    async def search(self, request: Request) -> Response:
        """Find the states of a code and a subject, or of a code and of nobody."""
        asking = await self._asking(request)
        code, subject = _criteria(asking.desk, request)
        await self._let(request, asking, ("s", code, subject))
        found = await states.find_states(asking.desk, code, subject)
        entries = [
            {"fullUrl": f"{self._here(request)}/Basic/{record.key}", "resource": states.shown(asking.desk, record),
             "search": {"mode": "match"}}
            for record in found
        ]  # fmt: skip
        body: dict[str, Any] = {
            "resourceType": "Bundle", "type": "searchset", "total": len(found),
            "meta": {"lastUpdated": instant(asking.desk.now())},
            "link": [{"relation": "self", "url": f"{self._here(request)}/Basic?{request.url.query}"}],
        }  # fmt: skip
        return JSONResponse(body | ({"entry": entries} if entries else {}), 200, _HEADERS, _TYPE)

    async def _asking(self, request: Request) -> Asking:
        desk = await self.service.desk(request)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        found = await find_token(desk, token.strip()) if scheme.lower() == "bearer" else None
        if found is None or found.kind != "access":
            refusal = Unauthorized("state of apps needs an access token", expression="http.authorization")
            refusal.headers["www-authenticate"] = 'Bearer realm="fhir"'
            raise refusal
        known(request, user=found.grant.user, subject=found.grant.subject, client=found.grant.client)
        client = await find_client(desk, found.grant.client)
        if client is None:
            raise Forbidden("the app is not registered any more", expression="http.authorization")
        return Asking(desk, found, client, parse_scopes(found.scopes))

    async def _let(self, request: Request, asking: Asking, asked: tuple[str, str, str]) -> None:
        """Let the app do something (a letter of a scope) with a code and a subject. Raises Forbidden."""
        letter, code, subject = asked
        type_, _, id_ = subject.partition("/")
        known(request, patient=id_ if type_ == "Patient" else "")
        scopes = states.granting(asking.scopes, letter, code) if states.may_use(asking.client, code) else ()
        may = states.may_touch(asking.found.grant, scopes, subject, modify=letter != "s")
        if not scopes or may is False or (may is None and not await self._sees(request, asking, subject)):
            raise Forbidden("the app was not granted state of this code and subject", expression="Basic")

    async def _sees(self, request: Request, asking: Asking, subject: str) -> bool:
        """Tell whether the holder of the token may read the subject. Somebody's roles and persons are their own."""
        type_, _, id_ = subject.partition("/")
        headers = {"authorization": request.headers["authorization"]}
        read = FhirRequest("GET", "read", asking.desk.base, type_, id_, headers=headers, tenant=tenant_of(request))
        try:
            body = b"".join((await self.service.ask(read)).body)
        except FhirError:
            return False
        grant = asking.found.grant
        return type_ == "Patient" or not grant.user or f'{grant.subject}"'.encode() in body

    async def _body(self, request: Request) -> bytes:
        body, most = b"", self.service.settings.app_state_bytes
        async for chunk in request.stream():
            body += chunk
            if len(body) > most:
                raise TooLarge(f"a state takes at most {most} bytes", expression="Basic")
        return body

    def _here(self, request: Request) -> str:
        return f"{self.service.here(request)}/{APP_STATE}"

    def _answer(self, request: Request, desk: Desk, record: Record, status: int = 200) -> Response:
        where = {"location": f"{self._here(request)}/Basic/{record.key}"} if status == 201 else {}
        headers = {**_HEADERS, **where, "etag": states.etag(record)}
        return JSONResponse(states.shown(desk, record), status, headers, _TYPE)


def _if_match(request: Request) -> str:
    tag = request.headers.get("if-match")
    if tag is None:
        raise PreconditionFailed("a state is changed and deleted with If-Match alone", expression="http.if-match")
    return tag.strip()


def _criteria(desk: Desk, request: Request) -> tuple[str, str]:
    asked: Mapping[str, str] = dict(request.query_params)
    if len(asked) != len(request.query_params.multi_items()) or asked.keys() - {"code", "subject", "subject:missing"}:
        raise BadRequest("state is found by code, and by subject or subject:missing=true", expression="http.url")
    code, subject = asked.get("code", ""), asked.get("subject")
    system, bar, value = code.partition("|")
    if not (system and bar and value) or "," in code:
        raise BadValue("code is the system and code of a state: system|code", expression="http.code")
    if (subject is None) == (asked.get("subject:missing") != "true"):
        raise BadValue("either subject, or subject:missing=true", expression="http.subject")
    return code, "" if subject is None else states.subject_of(desk, subject)


def spoken(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Return the handler with its refusals as OperationOutcomes."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except FhirError as error:
            issues = [issue.as_json() for issue in error.issues]
            outcome = {"resourceType": "OperationOutcome", "issue": issues}
            return JSONResponse(outcome, error.status, {**_HEADERS, **error.headers}, _TYPE)

    return answer
