"""Errors to responses: the only place that turns an exception into an OperationOutcome.

Spec: https://hl7.org/fhir/R4/http.html#Status-Codes
"""

import logging
from traceback import extract_tb

from fhir_server.errors import FhirError, Issue
from fhir_server.interactions.outcome import outcome
from fhir_server.model.exchange import FhirResponse

_FRAMES = 20
_log = logging.getLogger("fhir_server.api")


def response_to(error: Exception, request_id: str) -> FhirResponse:
    """Answer what was raised on purpose with its status, headers and issues, and all else with a bare 500."""
    if not isinstance(error, FhirError):
        _note(error, request_id)
        text = f"the server failed; its log says more under request {request_id}"
        return FhirResponse(500, (outcome([Issue(text, "exception", "fatal")]),))
    if error.status == 500:
        _note(error, request_id)
    headers = {"Retry-After": "1", **error.headers} if error.status == 503 else error.headers
    return FhirResponse(error.status, (outcome(error.issues),), headers=headers)


def _note(error: BaseException, request_id: str) -> None:
    """Log the kind of error and where it arose, not its message: messages quote values of patients."""
    cause = error.__cause__
    kind = f"{type(error).__name__} from {type(cause).__name__}" if cause else type(error).__name__
    frames = extract_tb((cause or error).__traceback__)[-_FRAMES:]
    place = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    _log.error("request %s failed: %s at %s", request_id, kind, place)
