"""The endpoint for emergency access (break-glass): an app asks with its user's token, giving patient and reason."""

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fhir_server.api.auth.service import Service, answered, bearer_of, json_of
from fhir_server.api.auth.watch import known
from fhir_server.auth.breakglass import SCOPES, open_record
from fhir_server.auth.errors import OAuthError
from fhir_server.errors import FhirError


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    patient: str
    reason: str


async def emergency(service: Service, request: Request) -> Response:
    """Answer with a token that reads one patient's whole record for a while."""
    desk = await service.desk(request)
    found = await bearer_of(request, desk)
    known(request, user=found.grant.user, subject=found.grant.subject, client=found.grant.client)
    try:
        asked = msgspec.convert(await json_of(request, "invalid_request"), _Asked)
    except msgspec.ValidationError as error:
        raise OAuthError("invalid_request", str(error)) from None
    try:
        grant, pair = await open_record(desk, found.grant, asked.patient, asked.reason)
        known(request, patient=grant.patient)
    except FhirError as error:
        outcome = {"resourceType": "OperationOutcome", "issue": [issue.as_json() for issue in error.issues]}
        return JSONResponse(outcome, error.status, {"cache-control": "no-store"})
    body = {
        "access_token": pair.access, "token_type": "Bearer", "scope": SCOPES, "patient": grant.patient,
        "expires_in": (min(grant.expires, desk.after(pair.life)) - desk.now()) // 1000,
    }  # fmt: skip
    return answered(body)
