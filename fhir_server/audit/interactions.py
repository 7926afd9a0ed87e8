"""AuditEvent over the FHIR API."""

from collections.abc import Awaitable, Callable, Mapping

from fhir_server.context import Context
from fhir_server.model.exchange import FhirRequest, FhirResponse

AUDIT_HANDLERS: Mapping[str, Callable[[Context, FhirRequest], Awaitable[FhirResponse]]] = {}
