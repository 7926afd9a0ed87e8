"""When search parameters change, a job makes the index rows of the types that they are for anew."""

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import blake2b

from fhir_server.context import Context
from fhir_server.interactions.tenant import Tenant
from fhir_server.jobs.runner import Runner
from fhir_server.model.exchange import FhirRequest
from fhir_server.model.json import encode
from fhir_server.search.parameters import ParameterRegistry

ContextOf = Callable[[FhirRequest], Awaitable[Context]]


class IndexKeeper:
    """Starts the job, once among all workers.

    Args:
        base_of: the URL under which clients know a tenant; absolute references below it are to this server.
    """

    def __init__(self, runner: Runner, context_of: ContextOf, base_of: Callable[[str], str]) -> None:
        self._runner, self._context_of, self._base_of = runner, context_of, base_of
        self._tasks: set[asyncio.Task[None]] = set()

    def changed(self, tenant: Tenant, before: ParameterRegistry, after: ParameterRegistry) -> None:
        """Take note that a tenant has other search parameters now."""
        types = [type_ for type_ in after.types if before.version_of(type_) != after.version_of(type_)]
        if not types:
            return
        # Each worker notices the change; the id is the same for all, so only the first makes the job.
        mark = blake2b(f"{tenant.token} {after.version}".encode(), digest_size=12).hexdigest()
        task = asyncio.create_task(self._start(tenant.name, types, f"reindex-{mark}"))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, tenant: str, types: list[str], job_id: str) -> None:
        parameters = [{"name": "type", "valueCode": type_} for type_ in types]
        request = FhirRequest(
            method="POST",
            interaction="operation",
            base=self._base_of(tenant),
            operation="reindex",
            grant="*",
            tenant=tenant,
            body=encode({"resourceType": "Parameters", "parameter": parameters}),
        )
        await self._runner.add(await self._context_of(request), request, job_id)
