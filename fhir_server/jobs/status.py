"""`GET` and `DELETE [base]/$job/[id]`: how a job stands, and the wish that it ends.

Spec: https://hl7.org/fhir/R4/async.html#3.1.6.5
"""

from dataclasses import replace

from fhir_server.auth.scopes import contain
from fhir_server.context import Caller, Context
from fhir_server.errors import Conflict, NotFound
from fhir_server.interactions.outcome import success
from fhir_server.jobs.answers import told
from fhir_server.jobs.endings import forget
from fhir_server.jobs.job import JOBS, OPEN, Job, read_job
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.storage.base import Record, RecordChange, RecordChanged

_TRIES = 5


async def job_status(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Answer how the job stands: 202 with X-Progress, or its result.

    Raises:
        NotFound: there is no such job, or it is another's.
    """
    return await told(ctx, read_job(await _record(ctx, request)))


async def job_cancel(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Cancel a job that goes on, or forget one that is done: 202 either way.

    What it wrote before stays.

    Raises:
        NotFound: as `job_status`.
    """
    for _ in range(_TRIES):
        record = await _record(ctx, request)
        job = read_job(record)
        if job.state not in OPEN:
            await forget(ctx.store, job, record.revision)
            return FhirResponse(202, (success(f"job {job.id} is forgotten"),))
        gone = replace(job, state="cancelled", ended=ctx.now())
        change = RecordChange(JOBS.name, job.id, gone.as_record(), expected=record.revision)
        try:
            await ctx.store.commit((), (change,))
        except RecordChanged:  # it gave a sign of life in between
            continue
        if ctx.jobs is not None:
            ctx.jobs.cancel(job.id)
        return FhirResponse(202, (success(f"job {job.id} is cancelled; what it wrote before stays"),))
    raise Conflict(f"job {request.id} keeps changing; try again")


async def _record(ctx: Context, request: FhirRequest) -> Record:
    if ctx.jobs is None:
        raise NotFound("this server has no jobs", expression="http.url")
    await ctx.jobs.declare(ctx.store)
    record = await ctx.store.records.get(JOBS.name, request.id or "")
    if record is None or not _may_see(ctx, read_job(record)):
        raise NotFound(f"there is no job {request.id}", expression="http.url")
    return record


def _may_see(ctx: Context, job: Job) -> bool:
    """Administrators, and who started it: by the same app, bound to the same patients, with all that it was allowed
    then, for that is what its result may hold."""
    mine, theirs = ctx.caller, job.caller
    if mine.admin:
        return True
    if mine.grant != theirs.grant and _who(mine) != _who(theirs):
        return False
    return contain(mine.scopes, theirs.scopes)


def _who(caller: Caller) -> tuple[object, ...]:
    return caller.name, caller.user, caller.client, tuple(caller.patients), caller.emergency
