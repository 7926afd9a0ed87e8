"""Errors to responses: the only place that turns an exception into an OperationOutcome.

Spec: https://hl7.org/fhir/R4/http.html#Status-Codes
"""

import logging
from traceback import extract_tb

from fhir_server.errors import FhirError, Issue
from fhir_server.interactions.outcome import outcome
from fhir_server.model.exchange import FhirResponse

_log = logging.getLogger("fhir_server.api")


def refused(error: FhirError) -> FhirResponse:
    """Answer with the status, the headers and the issues of what was raised on purpose."""
    return FhirResponse(error.status, (outcome(error.issues),), headers=error.headers)


def unexpected(error: BaseException, request_id: str) -> FhirResponse:
    """Answer what nobody expected: 500 with nothing in it but the id under which the log has the place.

    The log gets the kind of error and where it arose, not its message: messages quote values of patients.
    """
    place = " < ".join(
        f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(extract_tb(error.__traceback__))
    )
    _log.error("request %s failed: %s at %s", request_id, type(error).__name__, place)
    issue = Issue(f"the server failed; its log says more under request {request_id}", "exception", "fatal")
    return FhirResponse(500, (outcome([issue]),))
