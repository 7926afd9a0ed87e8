"""What operators see of jobs and may do with them, from any process."""

from dataclasses import replace
from typing import Any

from fhir_server.jobs.job import JOBS, OPEN, Job, read_job
from fhir_server.storage.base import RecordChange, RecordChanged, Store, Where

_TRIES = 20


class UnknownJob(Exception):
    """There is no job of this id that goes on."""


async def listed(store: Store, now: int, *, everything: bool = False, limit: int = 200) -> list[dict[str, Any]]:
    """Return the jobs of a tenant that go on, or all that are kept; nothing of what they are about."""
    await store.declare(JOBS)
    where = () if everything else (Where("state", "in", OPEN),)
    records = await store.records.find(JOBS.name, where, limit=limit)
    return [_shown(read_job(record).seen_at(now)) for record in records]


async def cancel(store: Store, job_id: str, now: int) -> None:
    """Cancel a job; whoever runs it notices within a second or two. Raises UnknownJob."""
    await store.declare(JOBS)
    for _ in range(_TRIES):
        record = await store.records.get(JOBS.name, job_id)
        job = read_job(record) if record else None
        if record is None or job is None or job.state not in OPEN:
            break
        gone = replace(job, state="cancelled", ended=now)
        try:
            await store.commit((), (RecordChange(JOBS.name, job_id, gone.as_record(), expected=record.revision),))
            return
        except RecordChanged:  # it gave a sign of life in between
            continue
    raise UnknownJob(f"there is no job {job_id!r} that goes on")


def _shown(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind or job.request.operation or job.request.interaction,
        "state": job.state,
        "progress": job.progress,
        "by": job.caller.name,
        "created": job.created,
        "ended": job.ended,
        "tries": job.tries,
        "files": len(job.files),
        "error": job.error[:300],
    }
