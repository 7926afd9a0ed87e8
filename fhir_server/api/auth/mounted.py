"""Where the authorization server lies: beside the FHIR endpoint of each tenant."""

from collections.abc import Iterator

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Mount, Route

from fhir_server.api.auth.endpoints import Endpoints, Handler, guarded
from fhir_server.api.auth.flow import Flow
from fhir_server.api.auth.management import Management
from fhir_server.api.auth.service import Service

_PREFIXES = ("", "/t/{tenant}")


def authorization_routes(service: Service) -> list[BaseRoute]:
    """Return the routes, for the default tenant and for those that a URL names."""
    return [route for prefix in _PREFIXES for route in _routes(service, prefix)]


def _routes(service: Service, prefix: str) -> Iterator[BaseRoute]:
    """Discovery and what apps call may be called from any page: they carry no cookies.

    Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html (CORS)
    """
    apps, flow, own = Endpoints(service), Flow(service), Management(service)
    yield _open(
        f"{prefix}/fhir/.well-known",
        service,
        _get("/smart-configuration", apps.smart),
        _get("/openid-configuration", apps.openid),
    )
    yield Route(f"{prefix}/auth/authorize", guarded(flow.authorize), methods=["GET", "POST"])
    for name, show, take in (
        ("sign-in", flow.sign_in_page, flow.sign_in),
        ("password", flow.password_page, flow.password),
        ("consent", flow.consent_page, flow.consent),
        ("manage", own.show, own.end),
    ):
        yield Route(f"{prefix}/auth/{name}", guarded(show), methods=["GET"])
        yield Route(f"{prefix}/auth/{name}", guarded(take), methods=["POST"])
    yield Route(f"{prefix}/auth/sign-out", guarded(own.sign_out), methods=["POST"])
    yield _open(
        f"{prefix}/auth",
        service,
        _get("/jwks", apps.jwks),
        _post("/token", apps.token),
        _post("/introspect", apps.introspect),
        _post("/revoke", apps.revoke),
        _post("/register", apps.registration),
    )


def _get(path: str, handler: Handler) -> Route:
    return Route(path, guarded(handler), methods=["GET"])


def _post(path: str, handler: Handler) -> Route:
    return Route(path, guarded(handler), methods=["POST"])


def _open(prefix: str, service: Service, *routes: Route) -> Mount:
    cors = Middleware(
        CORSMiddleware,
        allow_origins=list(service.settings.cors_origins),
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "Accept"],
        max_age=3_600,
    )
    return Mount(prefix, routes=list(routes), middleware=[cors])
