"""Everything that can be wrong with a request, as exceptions that know their HTTP status and R4 issue code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Issue:
    """One OperationOutcome.issue; `details` is its CodeableConcept, which programs read.

    Spec: https://hl7.org/fhir/R4/operationoutcome.html
    """

    diagnostics: str
    code: str = "processing"
    severity: str = "error"
    expression: tuple[str, ...] = ()
    details: Mapping[str, object] | None = field(default=None, compare=False)

    def as_json(self) -> dict[str, object]:
        """Return the issue as it stands in an OperationOutcome; what `details` says in words is not said again."""
        issue: dict[str, object] = {"severity": self.severity, "code": self.code}
        if self.details is not None:
            issue["details"] = dict(self.details)
        if self.details is None or self.details.get("text") != self.diagnostics:
            issue["diagnostics"] = self.diagnostics
        if self.expression:
            issue["expression"] = list(self.expression)
        return issue


class FhirError(Exception):
    """A request that cannot be answered as asked; subclasses fix status and issue code.

    Args:
        diagnostics: says what is wrong, where, and what to do; never holds patient data beyond the request's own URL.
        expression: FHIRPath of the element at fault, or `http.name` for a header or parameter.
        issues: several findings at once; then `diagnostics` is only the log line.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "exception"

    def __init__(self, diagnostics: str, *, expression: str = "", issues: Sequence[Issue] = ()) -> None:
        super().__init__(diagnostics)
        self.issues: tuple[Issue, ...] = tuple(issues) or (
            Issue(diagnostics, self.code, expression=(expression,) if expression else ()),
        )
        self.headers: dict[str, str] = {}


class BadRequest(FhirError):
    """The request is malformed."""

    status, code = 400, "invalid"


class BadJson(BadRequest):
    """The body is not the JSON or XML that it says it is."""

    code = "structure"


class BadXml(BadJson):
    """The body is not XML as FHIR has it; says the line and the element."""


class UnknownParameter(BadRequest):
    """A search parameter, modifier or prefix that this server does not know."""

    code = "not-supported"


class BadValue(BadRequest):
    """A parameter's value that cannot be read."""

    code = "value"


class MultipleMatches(FhirError):
    """A conditional interaction whose criteria match several resources."""

    status, code = 412, "multiple-matches"


class PreconditionFailed(FhirError):
    """If-Match or If-None-Match does not hold."""

    status, code = 412, "conflict"


class NotFound(FhirError):
    """No such resource, or none that the caller may know of."""

    status, code = 404, "not-found"


class UnknownPath(NotFound):
    """No such resource type, operation or route."""

    code = "not-supported"


class Gone(FhirError):
    """The current version is a deletion, or a page link has outlived its snapshot."""

    status, code = 410, "deleted"


class LinkExpired(Gone):
    """A page link older than its life."""

    code = "expired"


class MethodNotAllowed(FhirError):
    """The path exists, but not for this method."""

    status, code = 405, "not-supported"


class NotAcceptable(FhirError):
    """None of the asked formats can be produced."""

    status, code = 406, "not-supported"


class RequestTimeout(FhirError):
    """The client did not send its body in time."""

    status, code = 408, "timeout"


class Conflict(FhirError):
    """The write would break a rule of the store, such as referential integrity."""

    status, code = 409, "conflict"


class TooLarge(FhirError):
    """The body, or something in it, is over a limit."""

    status, code = 413, "too-long"


class UriTooLong(FhirError):
    """The URL is over a limit."""

    status, code = 414, "too-long"


class UnsupportedMediaType(FhirError):
    """The body's content type is not one that this server reads."""

    status, code = 415, "not-supported"


class InvalidResource(FhirError):
    """The resource breaks a rule of FHIR; one issue per finding."""

    status, code = 422, "invariant"


class Misdirected(FhirError):
    """What is asked for is served elsewhere."""

    status, code = 421, "business-rule"


class TooCostly(FhirError):
    """The request would take more than a limit allows."""

    status, code = 403, "too-costly"


class Forbidden(FhirError):
    """The caller may not do this."""

    status, code = 403, "forbidden"


class Unauthorized(FhirError):
    """The caller is not known."""

    status, code = 401, "login"


class TooManyRequests(FhirError):
    """Somebody asks more often than they may; `Retry-After` says when to ask again. Spec: RFC 6585, section 4"""

    status, code = 429, "throttled"


class Busy(FhirError):
    """The server cannot take the request now; try again."""

    status, code = 503, "transient"


class StoreFull(FhirError):
    """There is no space left for a write; reads go on."""

    status, code = 507, "no-store"


class DamagedStore(FhirError):
    """What is stored is not what was written, or its key does not fit: nothing of it is given out."""

    status, code = 500, "exception"


class Unsupported(FhirError):
    """A part of the specification that this server does not offer."""

    status, code = 501, "not-supported"
