"""Where the authorization server lies: beside the FHIR endpoint of each tenant."""

from collections.abc import Iterator
from functools import partial

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from fhir_server.api.auth.account import Account
from fhir_server.api.auth.admin import admin_routes
from fhir_server.api.auth.app_state import AppState, spoken
from fhir_server.api.auth.browser import foreign
from fhir_server.api.auth.emergency import emergency
from fhir_server.api.auth.endpoints import Endpoints, Handler, guarded
from fhir_server.api.auth.federation_pages import Federation
from fhir_server.api.auth.flow import Flow
from fhir_server.api.auth.limited import limited
from fhir_server.api.auth.management import Management
from fhir_server.api.auth.origins import Cors, Origins
from fhir_server.api.auth.passkey_pages import Passkeys
from fhir_server.api.auth.service import Service
from fhir_server.api.auth.show import message
from fhir_server.api.auth.watch import watched
from fhir_server.auth.discovery import APP_STATE, BRANDS

_PREFIXES = ("", "/t/{tenant}")


def authorization_routes(service: Service) -> list[BaseRoute]:
    """Return the routes, for the default tenant and for those that a URL names."""
    return [route for prefix in _PREFIXES for route in _routes(service, prefix)]


def _routes(service: Service, prefix: str) -> Iterator[BaseRoute]:
    yield from _discovery(service, prefix)
    yield from _pages(service, prefix)
    yield from _passkeys(service, prefix)
    yield from _federation(service, prefix)
    yield from admin_routes(service, prefix)
    yield _app_state(service, prefix)
    yield _endpoints(service, prefix)  # last: it takes all that is left below /auth


def _discovery(service: Service, prefix: str) -> Iterator[BaseRoute]:
    apps = Endpoints(service)
    known = (_get("/smart-configuration", apps.smart), _get("/openid-configuration", apps.openid))
    yield _open(f"{prefix}/fhir/.well-known", Origins(service), *known)
    if not prefix:  # RFC 8414 puts the path of an issuer behind the well-known one
        yield _open("/.well-known/oauth-authorization-server", Origins(service), _get("/fhir", apps.oauth))


def _pages(service: Service, prefix: str) -> Iterator[BaseRoute]:
    account, flow, own = Account(service), Flow(service), Management(service)
    asked = limited(service, "token", guarded(flow.authorize))
    yield Route(f"{prefix}/auth/authorize", asked, methods=["GET", "POST"])
    for name, show, take in (
        ("sign-in", flow.sign_in_page, flow.sign_in),
        ("password", flow.password_page, flow.password),
        ("consent", flow.consent_page, flow.consent),
        ("manage", own.show, own.end),
        ("account", account.show, account.change),
    ):
        yield Route(f"{prefix}/auth/{name}", guarded(show), methods=["GET"])
        yield Route(f"{prefix}/auth/{name}", _taken(service, name, take), methods=["POST"])
    sign_out = watched(service, "sign-out", guarded(_own(service, own.sign_out)))
    yield Route(f"{prefix}/auth/sign-out", sign_out, methods=["POST"])


def _passkeys(service: Service, prefix: str) -> Iterator[BaseRoute]:
    keys = Passkeys(service)
    yield Route(f"{prefix}/auth/passkeys.js", keys.script, methods=["GET"])
    for name, handler in (
        ("options", keys.options),
        ("register", keys.register),
        ("sign-in-options", keys.sign_in_options),
        ("sign-in", keys.sign_in),
    ):
        yield Route(f"{prefix}/auth/passkeys/{name}", _taken(service, name, handler), methods=["POST"])


def _federation(service: Service, prefix: str) -> Iterator[BaseRoute]:
    """The way to an OpenID provider and back; these are links, so they are GETs."""
    pages = Federation(service)
    begun, ended = (limited(service, "sign_in", guarded(each)) for each in (pages.begin, pages.back))
    yield Route(f"{prefix}/auth/federated/{{provider}}", begun, methods=["GET"])
    yield Route(f"{prefix}/auth/federated/{{provider}}/back", watched(service, "sign-in", ended), methods=["GET"])


def _endpoints(service: Service, prefix: str) -> BaseRoute:
    """What apps call may be called from their pages: it carries no cookies.

    Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html (CORS)
    """
    apps = Endpoints(service)
    return _open(
        f"{prefix}/auth",
        Origins(service),
        _get("/jwks", apps.jwks),
        _get("/style.json", apps.style),
        _get(f"/{BRANDS}", apps.brands),
        _post(service, "/launch", apps.launch),
        _post(service, "/emergency", partial(emergency, service)),
        _post(service, "/token", apps.token),
        _post(service, "/introspect", apps.introspect),
        _post(service, "/revoke", apps.revoke),
        _post(service, "/register", apps.registration),
    )


def _app_state(service: Service, prefix: str) -> BaseRoute:
    own, asked = AppState(service), []
    for path, method, handler in (
        ("/Basic", "POST", own.create), ("/Basic", "GET", own.search), ("/Basic/{id}", "GET", own.read),
        ("/Basic/{id}", "PUT", own.update), ("/Basic/{id}", "DELETE", own.delete),
    ):  # fmt: skip
        answer = watched(service, "app-state", limited(service, "token", spoken(handler)))
        asked.append(Route(path, answer, methods=[method]))
    return _open(f"{prefix}/auth/{APP_STATE}", Origins(service), *asked)


def _taken(service: Service, name: str, handler: Handler) -> Handler:
    """Return the handler of a form of ours: from our own pages only, limited, and recorded."""
    return watched(service, name, limited(service, "sign_in", guarded(_own(service, handler))))


def _own(service: Service, handler: Handler) -> Handler:
    """Return the handler of a form, which refuses those that come from pages of others."""

    async def answer(request: Request) -> Response:
        if foreign(request, await service.desk(request)):
            return message("Not from here", "This form was sent by a page of another site.", 403)
        return await handler(request)

    return answer


def _get(path: str, handler: Handler) -> Route:
    return Route(path, guarded(handler), methods=["GET"])


def _post(service: Service, path: str, handler: Handler) -> Route:
    return Route(path, watched(service, path[1:], limited(service, "token", guarded(handler))), methods=["POST"])


def _open(prefix: str, origins: Origins, *routes: Route) -> Mount:
    return Mount(prefix, routes=list(routes), middleware=[Middleware(Cors, origins=origins)])
