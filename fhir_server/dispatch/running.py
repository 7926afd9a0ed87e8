"""One request, or one entry of a Bundle, run by its interaction or operation."""

from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter

from fhir_server.audit.interactions import AUDIT_HANDLERS
from fhir_server.context import Context, Level, Operation
from fhir_server.errors import FhirError, Forbidden, UnknownPath
from fhir_server.interactions.batch import batch
from fhir_server.interactions.capabilities import capabilities
from fhir_server.interactions.create import create
from fhir_server.interactions.delete import delete
from fhir_server.interactions.evening import SEARCHES, even_out, found_nothing
from fhir_server.interactions.history import history
from fhir_server.interactions.masking import answered
from fhir_server.interactions.patch import patch
from fhir_server.interactions.read import read
from fhir_server.interactions.search import search
from fhir_server.interactions.store_errors import translate
from fhir_server.interactions.transaction import transaction
from fhir_server.interactions.update import update
from fhir_server.interactions.vread import vread
from fhir_server.jobs.status import job_cancel, job_status
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.prompt import in_task
from fhir_server.storage.base import SearchTooCostly, StoreError
from fhir_server.telemetry.numbers import CUT_OFF, OPERATION_SECONDS, STORE_ERRORS

Handler = Callable[[Context, FhirRequest], Awaitable[FhirResponse]]

HANDLERS: Mapping[str, Handler] = {
    "read": read,
    "vread": vread,
    "update": update,
    "patch": patch,
    "delete": delete,
    "create": create,
    "history-instance": history,
    "history-type": history,
    "history-system": history,
    "search-type": search,
    "search-system": search,
    "search-compartment": search,
    "capabilities": capabilities,
    "batch": batch,
    "transaction": transaction,
    "job-status": job_status,
    "job-cancel": job_cancel,
}


async def run(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Run one request, or one entry of a Bundle, for the caller of the context."""
    if ctx.auditor is not None:
        return await ctx.auditor.watch(ctx, request, _run)
    return await _run(ctx, request)


async def _run(ctx: Context, request: FhirRequest) -> FhirResponse:
    if not ctx.restriction.may(request.interaction, request.type):
        raise Forbidden(f"{request.interaction} of {request.type or 'the system'} is not allowed")
    if ctx.jobs is not None and _is_to_be_job(ctx, request):
        return await ctx.jobs.submit(ctx, request)
    handler = operate if request.interaction == "operation" else HANDLERS[request.interaction]
    if ctx.auditor is not None and request.type == "AuditEvent":
        handler = AUDIT_HANDLERS.get(request.interaction, handler)
    began = perf_counter()
    try:
        response = await handler(ctx, request)
    except StoreError as error:
        STORE_ERRORS.add(type(error).__name__)
        if isinstance(error, SearchTooCostly):
            CUT_OFF.add()
        raise await translate(ctx, error) from error
    except FhirError:
        await even_out(ctx, request, began)
        raise
    if request.interaction in SEARCHES and found_nothing(response):
        await even_out(ctx, request, began)
    if ctx.deciders is None or not ctx.deciders.shows:
        return response
    await in_task()
    return await ctx.deciders.show(ctx, response)


def _is_to_be_job(ctx: Context, request: FhirRequest) -> bool:
    """Tell whether the client asks for a job, and not from within one or about one.

    What everybody may ask without a token is never one: strangers would fill the record with jobs.
    """
    if request.preference("respond-async") is None or ctx.in_job:
        return False
    if request.interaction == "operation":
        operation = _operation(ctx, request)
        return operation is None or not operation.makes_job
    return request.interaction not in ("job-status", "job-cancel", "capabilities")


def _operation(ctx: Context, request: FhirRequest) -> Operation | None:
    level: Level = "instance" if request.id else "type" if request.type else "system"
    return ctx.operations.find(request.operation or "", request.type, level)


async def operate(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Answer a call of an operation."""
    operation = _operation(ctx, request)
    if operation is None:
        raise UnknownPath(f"there is no operation ${request.operation} here", expression="http.url")
    if operation.facts.affects_state and not _may_change(ctx, request.type or operation.facts.resources[0]):
        named = request.type or operation.facts.resources[0]
        what = named if named != "Resource" else "the record"
        said = f"${request.operation} changes {what}, and your access allows no change of it"
        raise Forbidden(f"{said}: ask for a token with a scope that writes", expression="http.url")
    with OPERATION_SECONDS.timed(f"${operation.facts.code}"):
        return answered(ctx.restriction.mask, await operation.run(ctx, request))


def _may_change(ctx: Context, type_: str) -> bool:
    """Tell whether the caller may write some resources of a type; what each write comes to is looked at in `admit`."""
    return any(ctx.restriction.may(interaction, type_) for interaction in ("create", "update", "delete"))
