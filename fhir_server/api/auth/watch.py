"""What the audit gets to know of the authorization server: who signed in, who got tokens, and who was refused."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from fhir_server.api.auth.service import Service, tenant_of
from fhir_server.api.headers import client_address, mapping
from fhir_server.audit.events import BREAK_GLASS, REVOKED, SECURITY, SIGN_IN, SIGN_OUT, TOKEN, Agent, Event, plain
from fhir_server.telemetry.numbers import AUTH_EVENTS

_Handler = Callable[[Request], Awaitable[Response]]
_CODES: Final[Mapping[str, str]] = {
    "sign-in": SIGN_IN,
    "sign-out": SIGN_OUT,
    "token": TOKEN,
    "introspect": "",
    "revoke": REVOKED,
    "manage": REVOKED,
    "emergency": BREAK_GLASS,
}
_WHO: Final = ("user", "subject", "client")
_LONGEST: Final = 100


def known(request: Request, **who: str) -> None:
    """Note who asks, as far as an endpoint has found out: `user`, `subject`, `client`, `patient`."""
    for name, value in who.items():
        setattr(request.state, f"audit_{name}", plain(value[:_LONGEST]))


def watched(service: Service, name: str, handler: _Handler) -> _Handler:
    """Return the handler of an endpoint, whose answers are recorded; refusals also where nothing else of it is."""
    code = _CODES.get(name, SECURITY)

    async def answer(request: Request) -> Response:
        response = await handler(request)
        AUTH_EVENTS.add(name, "refused" if response.status_code >= 400 else "ok")
        if code or response.status_code >= 400:
            user, subject, client = (str(getattr(request.state, f"audit_{each}", "")) for each in _WHO)
            address = client_address(request.scope, mapping(request.scope["headers"]), service.settings)
            note = "" if code in (SIGN_IN, SIGN_OUT, TOKEN) else name
            patient = str(getattr(request.state, "audit_patient", ""))
            event = Event(code or SECURITY, response.status_code, patients=(patient,) if patient else (), note=note)
            await service.record(tenant_of(request), Agent(user, subject, client, address=address), event)
        return response

    return answer
