"""Rate limits of the endpoints of the authorization server, by the address that asks."""

from starlette.requests import Request
from starlette.responses import Response

from fhir_server.api.auth.endpoints import Handler
from fhir_server.api.auth.service import Service, answered
from fhir_server.api.auth.show import message
from fhir_server.api.decode import OPERATOR
from fhir_server.api.headers import client_address, mapping
from fhir_server.errors import TooManyRequests


def limited(service: Service, kind: str, handler: Handler) -> Handler:
    """Return the handler with a limit of the kind; who asks too often gets 429, as a page or as JSON for apps."""

    async def answer(request: Request) -> Response:
        try:
            await _spend(service, kind, request)
        except TooManyRequests as refusal:
            wait = refusal.headers["retry-after"]
            if kind == "sign_in":
                page = message("Too many attempts", f"Wait {wait} seconds, then try again.", 429)
                page.headers["retry-after"] = wait
                return page
            body = {"error": "temporarily_unavailable", "error_description": str(refusal)}
            return answered(body, 429, **{"retry-after": wait})
        return await handler(request)

    return answer


async def _spend(service: Service, kind: str, request: Request) -> None:
    if OPERATOR in request.scope.get("state", ()):
        return
    headers = mapping(request.scope["headers"])
    await service.limits.spend(kind, client_address(request.scope, headers, service.settings))
