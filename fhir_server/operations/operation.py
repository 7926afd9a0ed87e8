"""CoreOperation: an OperationDefinition and one handler; what comes in and goes out is checked here."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from fhir_server.context import Context
from fhir_server.definitions import OperationFacts
from fhir_server.errors import MethodNotAllowed
from fhir_server.model.exchange import FhirRequest, FhirResponse, Query
from fhir_server.operations.inputs import Inputs, Reader
from fhir_server.operations.outputs import Outputs, write


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operation, its parameters checked; `search` has those of the search that some operations are."""

    request: FhirRequest
    inputs: Inputs
    search: Query = ()


Handler = Callable[[Any, Call], Awaitable[Outputs | FhirResponse]]
"""Takes the Context, or of a plugin the PluginContext."""


@dataclass(frozen=True, slots=True)
class CoreOperation:
    """One operation.

    searches: it also takes the search parameters of its type.
    links: names in the query that only its own page links have.
    lenient: parameters that its definition does not have are ignored in a body.
    own_body: a body that is JSON of its own kind is left to its handler, which finds it in the request.
    makes_job: calls that ask to be a job (`Prefer: respond-async`) come to its handler, which makes one itself.
    any_format: it answers in media types of its own, so what `Accept` and `_format` ask for is for it to judge.
    background: what its job ends in is its answer as it is, and another process may run it again from the start, or
        from where `ctx.job.checkpoint` says.
    at_once: how many of its jobs run at the same time; 0: as many as jobs may.
    """

    facts: OperationFacts
    handler: Handler
    summary: str
    searches: bool = False
    links: frozenset[str] = field(default_factory=frozenset)
    background: bool = False
    lenient: bool = False
    makes_job: bool = False
    any_format: bool = False
    at_once: int = 0
    own_body: bool = False

    async def run(self, ctx: Context, request: FhirRequest) -> FhirResponse:
        """Answer a call.

        Raises:
            MethodNotAllowed: a GET of an operation that changes something.
            BadRequest: parameters that do not fit the definition.
        """
        if request.method == "GET" and self.facts.affects_state:
            error = MethodNotAllowed(f"${self.facts.code} changes the record; POST it", expression="http.method")
            error.headers["Allow"] = "POST, OPTIONS"
            raise error
        reader = Reader(self.facts, searches=self.searches, links=self.links, lenient=self.lenient)
        inputs, search = reader.read(ctx, request.but(body=b"") if self.own_body else request)
        result = await self.handler(ctx, Call(request, inputs, search))
        if isinstance(result, FhirResponse):
            return result
        body = write(self.facts, result.values)
        return FhirResponse(result.status, (body,), result.version, result.headers)
