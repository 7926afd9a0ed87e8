"""What clients are told of jobs: 202 while they run, then the result.

Spec: https://hl7.org/fhir/R4/async.html
"""

from collections.abc import AsyncIterator, Mapping
from email.utils import formatdate
from typing import Final

from fhir_server.context import Context
from fhir_server.errors import FhirError, Issue, NotFound
from fhir_server.interactions.bundle import write_bundle
from fhir_server.interactions.entry_responses import responded
from fhir_server.interactions.outcome import outcome, success
from fhir_server.jobs.job import Job
from fhir_server.model.exchange import FhirResponse

_RETRY_AFTER = "1"
_FAULT = 500
_WHOLE: Final = 8_000_000
"""Bytes up to which a result is converted to what the client asks for; a larger one is sent as it is."""

JSON: Final = "application/fhir+json"


class Broken(FhirError):
    """A job that will not end."""


def accepted(ctx: Context, job_id: str) -> FhirResponse:
    """Answer the request that became a job."""
    where = f"{ctx.base}/$job/{job_id}"
    return FhirResponse(202, (success(f"this runs as a job; ask {where} for it"),), headers={"Content-Location": where})


async def finished(job: Job, response: FhirResponse) -> AsyncIterator[bytes]:
    """Yield what is kept of an answer: itself for background work, else a batch-response of one entry."""
    if response.stream is not None:
        async for chunk in response.stream:
            yield chunk
    elif job.background or response.status >= _FAULT:
        for chunk in response.body:
            yield bytes(chunk)
    else:
        entry = responded(job.request, response)
        yield write_bundle("batch-response", [entry], identity=(job.id, job.beat))


async def told(ctx: Context, job: Job) -> FhirResponse:
    """Answer a poll.

    Raises:
        NotFound: it was cancelled.
        Broken: its process died and it cannot be run again.
    """
    job = job.seen_at(ctx.now())
    if job.state == "cancelled":
        raise NotFound(f"job {job.id} was cancelled", expression="http.url")
    if job.state == "stalled" and not job.background:
        raise Broken(
            f"the process that ran job {job.id} ended before it did; what it wrote until then stays, ask again"
        )
    if job.state in ("done", "failed"):
        return await _result(ctx, job)
    headers = {"X-Progress": job.progress, "Retry-After": _RETRY_AFTER, "Cache-Control": "no-store"}
    return FhirResponse(202, (outcome([Issue(_said(job), "informational", "information")]),), headers=headers)


def _said(job: Job) -> str:
    waits = "; another process goes on with it" if job.state == "stalled" else ""
    return f"job {job.id} is {job.state}, {job.done} of {job.of} done{waits}"


async def _result(ctx: Context, job: Job) -> FhirResponse:
    status = job.status if job.background or job.state == "failed" else 200
    headers = {**job.headers, **_expires(job, ctx.settings.job_life)}
    found = await ctx.store.blobs.stat(job.blob) if job.blob else None
    if found is None:
        return FhirResponse(status, headers=headers, media_type=job.media_type or None)
    chunks = await ctx.store.blobs.open(job.blob)
    if found.size > _WHOLE:
        return FhirResponse(status, headers=headers, media_type=job.media_type or JSON, stream=chunks)
    body = tuple([chunk async for chunk in chunks])
    return FhirResponse(status, body, headers=headers, media_type=job.media_type or None)


def _expires(job: Job, life: int) -> Mapping[str, str]:
    return {"Expires": formatdate(job.ended / 1000 + life, usegmt=True), "Cache-Control": "private, no-cache"}
