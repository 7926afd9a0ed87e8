"""The endpoint by which an EHR says what it launches an app with; the app gets an opaque value that stands for it.

SMART leaves to each EHR how its parts speak to each other, so this is our own:
`POST [auth]/launch` with a bearer token that has the scope `__launch`, and JSON:
`{"client_id": "...", "context": {"patient": "123", "encounter": "...", "intent": "...", "fhirContext": [...]}}`.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#launch-app-ehr-launch
"""

from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from fhir_server.api.auth.service import Service, answered, bearer_of, json_of, tenant_of
from fhir_server.auth.clients import Client, find_client
from fhir_server.auth.desk import Desk
from fhir_server.auth.errors import OAuthError
from fhir_server.auth.launch import read_context, references
from fhir_server.auth.scopes import LAUNCH, parse_scopes
from fhir_server.auth.tokens import Found
from fhir_server.auth.users import find_named
from fhir_server.auth.waiting import PATIENCE
from fhir_server.auth.waiting import new_launch as kept
from fhir_server.errors import FhirError
from fhir_server.model.exchange import FhirRequest


async def new_launch(service: Service, request: Request) -> Response:
    """Store a context for one client, and for the user of the token or the one that is named; answer with `launch`.

    Raises:
        OAuthError: the token may not do this, or the context is not sound.
    """
    desk = await service.desk(request)
    found = await bearer_of(request, desk)
    if LAUNCH not in parse_scopes(found.scopes):
        raise OAuthError("insufficient_scope", f"the token lacks the scope {LAUNCH}", 403)
    asked = await json_of(request, "invalid_request")
    if not isinstance(asked, dict) or not asked.keys() <= {"client_id", "user", "context"}:
        raise OAuthError("invalid_request", "the body is an object of client_id, user and context")
    client = await find_client(desk, str(asked.get("client_id", "")))
    if client is None or "authorization_code" not in client.grant_types:
        raise OAuthError("invalid_request", "client_id names no app that users launch")
    context = read_context(asked.get("context", {}))
    for type_, id_ in references(context):
        await _check(service, found, FhirRequest("GET", "read", desk.base, type_, id_, tenant=tenant_of(request)))
    launch = await kept(desk, client.id, await _user(desk, found, asked.get("user", "")), context)
    return answered({"launch": launch, "expires_in": PATIENCE, **_url(client, desk, launch)}, 201)


async def _check(service: Service, found: Found, read: FhirRequest) -> None:
    """Who launches an app about a resource must be able to see it."""
    try:
        await service.ask(read.but(grant=found.grant.id))
    except FhirError:
        raise OAuthError("invalid_request", f"{read.type}/{read.id} is not there, or not for this token") from None


async def _user(desk: Desk, found: Found, name: object) -> str:
    """Return the user who has to sign in: that of the token, else the one whom the EHR names, else anybody."""
    if found.grant.user or not name:
        return found.grant.user
    user = await find_named(desk, str(name))
    if user is None:
        raise OAuthError("invalid_request", "user names nobody")
    return user.id


def _url(client: Client, desk: Desk, launch: str) -> dict[str, str]:
    if not client.launch_uri:
        return {}
    joint = "&" if urlsplit(client.launch_uri).query else "?"
    return {"launch_url": f"{client.launch_uri}{joint}{urlencode({'iss': desk.base, 'launch': launch})}"}
