"""FhirRequest to FhirResponse: authorize, then the interaction or operation, then audit."""

from fhir_server.dispatch.contexts import MOST_CONTEXTS
from fhir_server.dispatch.entrance import PLUGIN, context_of, forget, known_base
from fhir_server.dispatch.running import HANDLERS, operate, run
from fhir_server.dispatch.server import Server, record
from fhir_server.interactions.store_errors import unavailable
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.resilience import within
from fhir_server.storage.base import StoreUnavailable

__all__ = [
    "HANDLERS", "MOST_CONTEXTS", "PLUGIN", "Server", "context_of", "dispatch", "forget", "known_base", "operate",
    "record", "run",
]  # fmt: skip


async def dispatch(server: Server, request: FhirRequest) -> FhirResponse:
    """Answer one request.

    Raises:
        FhirError: for the edge to answer.
    """
    with within(server.settings.store_deadline):
        try:
            ctx = await context_of(server, request)
        except StoreUnavailable as error:
            raise unavailable(error) from error
        return await run(ctx, request)
