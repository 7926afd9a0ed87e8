"""How jobs end: with an answer, refused, or given up; and how nothing is left of one."""

from contextlib import suppress
from typing import Any

from fhir_server.errors import FhirError, Issue
from fhir_server.interactions.outcome import outcome
from fhir_server.jobs.job import JOBS, Job
from fhir_server.model.exchange import FhirResponse
from fhir_server.storage.base import BlobChange, BlobRef, RecordChange, RecordChanged, Store


def ending(job: Job, response: FhirResponse, error: str, blob: BlobRef) -> dict[str, Any]:
    """Return the fields of a job that has ended."""
    return {
        "state": "failed" if response.status >= 500 or (error and job.background) else "done",
        "status": response.status,
        "blob": blob.id if blob.size else "",
        "headers": dict(response.headers) if job.background else {},
        "media_type": (response.media_type or "") if job.background else "",
        "error": error,
    }


def refused(error: FhirError) -> tuple[FhirResponse, str]:
    """Return what a request that is not good ends in: the answer, and what is wrong in a sentence."""
    return FhirResponse(error.status, (outcome(error.issues),), headers=error.headers), str(error)


def failed(job: Job) -> tuple[FhirResponse, str]:
    """Return what a fault of the server ends in; the log has it under the id of the job."""
    return broken(job, f"the server failed at this; job {job.id} in its log")


def broken(job: Job, text: str) -> tuple[FhirResponse, str]:
    """Return what a job that is given up ends in."""
    return FhirResponse(500, (outcome([Issue(text, "exception")]),)), text


async def forget(store: Store, job: Job, revision: int) -> None:
    """Delete a job, its result and its files."""
    blobs = [BlobChange(id_, attach=False) for id_ in (job.blob, *(file.blob for file in job.files)) if id_]
    with suppress(RecordChanged):
        await store.commit((), (RecordChange(JOBS.name, job.id, None, expected=revision),), blobs)
