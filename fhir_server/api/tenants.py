"""Administration of tenants as JSON, for administrators of the default tenant and the operator (docs/tenants.md)."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from fhir_server.api.auth.admin import body_as, let_in
from fhir_server.api.auth.service import Service
from fhir_server.api.decode import OPERATOR
from fhir_server.api.headers import Scope, client_address, mapping
from fhir_server.audit.events import SECURITY, Agent, Event
from fhir_server.auth.access import stranger
from fhir_server.errors import Busy, FhirError, Forbidden, UnknownPath
from fhir_server.interactions.store_errors import unavailable
from fhir_server.interactions.tenant_administration import TenantAdministration, TenantAsked
from fhir_server.settings import Settings
from fhir_server.storage.base import StoreError, StoreUnavailable

Answer = tuple[int, Mapping[str, Any]]
Handler = Callable[[TenantAdministration, Request], Awaitable[Answer]]
_NO_STORE: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class _Reason(msgspec.Struct, forbid_unknown_fields=True):
    reason: str = ""


class _Confirmed(msgspec.Struct, forbid_unknown_fields=True):
    confirm: str = ""


async def _list(own: TenantAdministration, request: Request) -> Answer:
    return 200, {"tenants": [each.as_json() for each in await own.all()]}


async def _create(own: TenantAdministration, request: Request) -> Answer:
    made, once = await own.create(await body_as(request, TenantAsked))
    return 201, {**made.as_json(), "oneTimePassword": once}


async def _one(own: TenantAdministration, request: Request) -> Answer:
    return 200, (await own.one(request.path_params["name"])).as_json()


async def _change(own: TenantAdministration, request: Request) -> Answer:
    asked = await body_as(request, TenantAsked)
    return 200, (await own.change(request.path_params["name"], asked)).as_json()


async def _suspend(own: TenantAdministration, request: Request) -> Answer:
    asked = await body_as(request, _Reason)
    return 200, (await own.suspend(request.path_params["name"], asked.reason)).as_json()


async def _resume(own: TenantAdministration, request: Request) -> Answer:
    return 200, (await own.resume(request.path_params["name"])).as_json()


async def _erase(own: TenantAdministration, request: Request) -> Answer:
    asked = await body_as(request, _Confirmed)
    return 200, (await own.erase(request.path_params["name"], asked.confirm)).as_json()


_ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "", _list),
    ("POST", "", _create),
    ("GET", "/{name}", _one),
    ("PATCH", "/{name}", _change),
    ("POST", "/{name}/suspend", _suspend),
    ("POST", "/{name}/resume", _resume),
    ("POST", "/{name}/erase", _erase),
)


def tenant_routes(administration: Callable[[], TenantAdministration | None], service: Service | None) -> list[Route]:
    """Return the routes below `/auth/admin/tenants`. Without a service they are the operator's alone."""

    def guarded(handler: Handler, name: str) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            status = 500
            try:
                own = administration()
                if own is None:
                    raise Busy("the server is starting or stopping")
                await _let_in(service, request)
                status, body = await handler(own, request)
                return JSONResponse(dict(body), status, _NO_STORE)
            except (FhirError, StoreError) as error:
                refusal = refused(error)
                status = refusal.status_code
                return refusal
            finally:
                if service is not None and (request.method != "GET" or status >= 400):
                    await _recorded(service, request, status, name)

        return answer

    routes = [
        Route(f"/auth/admin/tenants{path}", guarded(handler, handler.__name__[1:]), methods=[method])
        for method, path, handler in _ROUTES
    ]
    return [*routes, Route("/auth/admin/tenants/{name}/export", _exporting(administration, service))]


def _exporting(
    administration: Callable[[], TenantAdministration | None], service: Service | None
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            own = administration()
            if own is None:
                raise Busy("the server is starting or stopping")
            await _let_in(service, request)
            operator = OPERATOR in request.scope.get("state", ())  # may take what is left here after a move
            await (own.one if operator else own.here)(request.path_params["name"])
        except FhirError as error:
            return refused(error)
        lines: AsyncIterator[bytes] = own.exported(request.path_params["name"])
        return StreamingResponse(lines, media_type="application/fhir+ndjson", headers=_NO_STORE)

    return answer


async def _let_in(service: Service | None, request: Request) -> None:
    """Let in the operator, and administrators of the default tenant where there are any."""
    if OPERATOR in request.scope.get("state", ()):
        return
    if service is None:
        raise Forbidden("tenants of a server without authorization are administered by `fhir-server tenants` alone")
    await let_in(await service.desk(request), request)


async def _recorded(service: Service, request: Request, status: int, what: str) -> None:
    address = client_address(request.scope, mapping(request.scope["headers"]), service.settings)
    name = str(request.path_params.get("name", ""))[:80]
    event = Event(SECURITY, status, note=f"tenants {what} {name}".rstrip())
    await service.record("default", Agent(address=address), event)


def refused(error: Exception) -> Response:
    """Return the answer to what cannot be done."""
    if isinstance(error, StoreUnavailable):
        error = unavailable(error)
    elif not isinstance(error, FhirError):
        error = Busy("the store cannot do this now")
    outcome = {"resourceType": "OperationOutcome", "issue": [issue.as_json() for issue in error.issues]}
    return JSONResponse(outcome, error.status, {**_NO_STORE, **error.headers})


def missing(scope: Scope, settings: Settings) -> Response:
    """Return the answer to who asks for a tenant that is not there: that of a token that is not good, where tokens are
    asked for, so that names of tenants cannot be guessed by it."""
    if settings.auth == "none" or OPERATOR in scope.get("state", ()):
        return refused(UnknownPath("there is nothing here", expression="http.url"))
    return refused(stranger(mapping(scope["headers"]).get("authorization")))
