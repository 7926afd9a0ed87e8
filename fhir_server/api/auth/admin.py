"""Administration of users and clients as JSON, for administrators and the operator of the machine (docs/users.md)."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fhir_server.api.auth.service import Service
from fhir_server.api.decode import OPERATOR
from fhir_server.auth import client_administration as clients
from fhir_server.auth import mask_administration as masks
from fhir_server.auth import user_administration as users
from fhir_server.auth.clients import Client
from fhir_server.auth.desk import Desk
from fhir_server.auth.roles import roles_of
from fhir_server.auth.scopes import LETTERS, parse_scopes
from fhir_server.auth.tokens import find_token
from fhir_server.auth.users import User, all_users
from fhir_server.errors import BadJson, BadValue, FhirError, Forbidden, TooLarge, Unauthorized

Answer = tuple[int, Mapping[str, Any]]
Handler = Callable[["Admin", Desk, Request], Awaitable[Answer]]
_LARGEST = 100_000
_NO_STORE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
Asked = TypeVar("Asked")


class _Password(msgspec.Struct, forbid_unknown_fields=True):
    password: str | None = None


class _Rules(msgspec.Struct, forbid_unknown_fields=True):
    rules: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Admin:
    """Handlers of one service."""

    service: Service

    async def users(self, desk: Desk, request: Request) -> Answer:
        """List them."""
        return 200, {"users": [users.shown_user(desk, user) for user in await all_users(desk)]}

    async def add_user(self, desk: Desk, request: Request) -> Answer:
        """Make one."""
        user, once = await users.add_user(desk, await body_as(request, users.UserAsked))
        return 201, users.shown_user(desk, user) | ({"oneTimePassword": once} if once else {})

    async def user(self, desk: Desk, request: Request) -> Answer:
        """Show one."""
        return 200, users.shown_user(desk, await _user(desk, request))

    async def change_user(self, desk: Desk, request: Request) -> Answer:
        """Change what the body names."""
        asked = await body_as(request, users.UserAsked)
        return 200, users.shown_user(desk, await users.change_user(desk, await _user(desk, request), asked))

    async def remove_user(self, desk: Desk, request: Request) -> Answer:
        """Remove one."""
        await users.remove_user(desk, await _user(desk, request))
        return 204, {}

    async def password(self, desk: Desk, request: Request) -> Answer:
        """Set a password, or make one that is good once."""
        user, asked = await _user(desk, request), await body_as(request, _Password)
        once = await users.set_password(desk, user, asked.password)
        return 200, {"oneTimePassword": once} if once else {}

    async def lock(self, desk: Desk, request: Request) -> Answer:
        """Switch one off."""
        return 200, users.shown_user(desk, await users.lock(desk, await _user(desk, request)))

    async def unlock(self, desk: Desk, request: Request) -> Answer:
        """Switch one on, and forget failed sign-ins."""
        return 200, users.shown_user(desk, await users.unlock(desk, await _user(desk, request)))

    async def totp_reset(self, desk: Desk, request: Request) -> Answer:
        """Take away what was lost: authenticator, recovery codes, passkeys."""
        return 200, users.shown_user(desk, await users.forget_factors(desk, await _user(desk, request)))

    async def roles(self, desk: Desk, request: Request) -> Answer:
        """Show the roles."""
        return 200, {"roles": {name: str(most) for name, most in roles_of(desk.settings.roles_file).items()}}

    async def masks(self, desk: Desk, request: Request) -> Answer:
        """Show what is hidden from whom."""
        return 200, {"masks": await masks.shown(desk)}

    async def set_mask(self, desk: Desk, request: Request) -> Answer:
        """Put the rules of a role in the place of those before."""
        rules = await body_as(request, _Rules)
        return 200, {"rules": await masks.set_rules(desk, request.path_params["role"], rules.rules)}

    async def remove_mask(self, desk: Desk, request: Request) -> Answer:
        """Hide nothing from a role any more."""
        await masks.set_rules(desk, request.path_params["role"], [])
        return 204, {}

    async def clients(self, desk: Desk, request: Request) -> Answer:
        """List them."""
        return 200, {"clients": [clients.shown_client(client) for client in await clients.all_clients(desk)]}

    async def add_client(self, desk: Desk, request: Request) -> Answer:
        """Register one."""
        client, secret = await clients.add_client(desk, await body_as(request, clients.ClientAsked))
        return 201, clients.shown_client(client) | ({"secret": secret} if secret else {})

    async def client(self, desk: Desk, request: Request) -> Answer:
        """Show one."""
        return 200, clients.shown_client(await _client(desk, request))

    async def change_client(self, desk: Desk, request: Request) -> Answer:
        """Change what the body names."""
        asked = await body_as(request, clients.ClientAsked)
        return 200, clients.shown_client(await clients.change_client(desk, await _client(desk, request), asked))

    async def remove_client(self, desk: Desk, request: Request) -> Answer:
        """Remove one."""
        await clients.remove_client(desk, await _client(desk, request))
        return 204, {}

    async def secret(self, desk: Desk, request: Request) -> Answer:
        """Give another secret."""
        return 200, {"secret": await clients.new_secret(desk, await _client(desk, request))}

    async def rotate(self, desk: Desk, request: Request) -> Answer:
        """Sign with a new key."""
        return 200, {"kid": await clients.rotate_keys(desk)}


_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/roles", Admin.roles),
    ("GET", "/masks", Admin.masks),
    ("PUT", "/masks/{role}", Admin.set_mask),
    ("DELETE", "/masks/{role}", Admin.remove_mask),
    ("GET", "/users", Admin.users),
    ("POST", "/users", Admin.add_user),
    ("GET", "/users/{name}", Admin.user),
    ("PATCH", "/users/{name}", Admin.change_user),
    ("DELETE", "/users/{name}", Admin.remove_user),
    ("POST", "/users/{name}/password", Admin.password),
    ("POST", "/users/{name}/lock", Admin.lock),
    ("POST", "/users/{name}/unlock", Admin.unlock),
    ("POST", "/users/{name}/totp-reset", Admin.totp_reset),
    ("GET", "/clients", Admin.clients),
    ("POST", "/clients", Admin.add_client),
    ("GET", "/clients/{id}", Admin.client),
    ("PATCH", "/clients/{id}", Admin.change_client),
    ("DELETE", "/clients/{id}", Admin.remove_client),
    ("POST", "/clients/{id}/secret", Admin.secret),
    ("POST", "/keys/rotate", Admin.rotate),
)


def admin_routes(service: Service, prefix: str) -> list[Route]:
    """Return the routes below `/auth/admin`."""
    own = Admin(service)
    return [
        Route(f"{prefix}/auth/admin{path}", _guarded(own, handler), methods=[method])
        for method, path, handler in _ROUTES
    ]


def _guarded(own: Admin, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            desk = await own.service.desk(request)
            await let_in(desk, request)
            status, body = await handler(own, desk, request)
        except FhirError as error:
            issues = [issue.as_json() for issue in error.issues]
            outcome = {"resourceType": "OperationOutcome", "issue": issues}
            return JSONResponse(outcome, error.status, {**_NO_STORE, **error.headers})
        return Response(None, 204) if status == 204 else JSONResponse(dict(body), status, _NO_STORE)

    return answer


async def let_in(desk: Desk, request: Request) -> None:
    """Let in the operator, and the token of an administrator that may do everything with the record.

    A token with less was given to an app that was not meant to make users.
    """
    if OPERATOR in request.scope.get("state", ()):
        return
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    found = await find_token(desk, token.strip()) if scheme.lower() == "bearer" else None
    if found is None or found.kind != "access":
        refusal = Unauthorized("administration needs the access token of an administrator")
        refusal.headers["www-authenticate"] = 'Bearer realm="fhir"'
        raise refusal
    full = any(
        scope.level == "user" and scope.type == "*" and scope.letters == LETTERS and not scope.query
        for scope in parse_scopes(found.scopes).resources
    )
    if users.ADMIN not in found.grant.roles or not full:
        raise Forbidden(f"administration needs a token with the role {users.ADMIN} and the scope user/*.{LETTERS}")


async def _user(desk: Desk, request: Request) -> User:
    return await users.found_user(desk, request.path_params["name"])


async def _client(desk: Desk, request: Request) -> Client:
    return await clients.found_client(desk, request.path_params["id"])


async def body_as(request: Request, wanted: type[Asked]) -> Asked:
    """Return the body as what is wanted. Raises BadValue, BadJson or TooLarge."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST:
            raise TooLarge(f"the body is larger than {_LARGEST} bytes")
    try:
        return msgspec.json.decode(body or b"{}", type=wanted)
    except msgspec.ValidationError as error:
        raise BadValue(str(error)) from None
    except msgspec.DecodeError as error:
        raise BadJson(f"the body is not JSON: {error}") from None
