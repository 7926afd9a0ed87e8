"""A job that this process has: its record is written by revision, so that nobody else has it too."""

import asyncio
from dataclasses import replace
from typing import Any

from fhir_server.jobs.job import JOBS, Job, read_job
from fhir_server.storage.base import BlobChange, RecordChange, RecordChanged, Store, StoreError

BEAT = 1.0
"""Seconds between signs of life."""


class Lost(Exception):
    """Somebody else has written the job: it was cancelled, or taken over."""


class Running:
    """One job of this process."""

    def __init__(self, store: Store, job: Job, revision: int, now: Any) -> None:
        self.store, self.job = store, job
        self._revision, self._now = revision, now
        self._turn = asyncio.Lock()

    def progress(self, done: int, of: int) -> None:
        """Note how far the work came; the next sign of life says so to all."""
        self.job = replace(self.job, done=done, of=of)

    async def put(self, blobs: tuple[BlobChange, ...] = (), **changed: Any) -> None:
        """Write the job with these fields changed. Raises Lost."""
        async with self._turn:
            job = replace(self.job, beat=self._now(), **changed)
            change = RecordChange(JOBS.name, job.id, job.as_record(), expected=self._revision)
            try:
                await self.store.commit((), (change,), blobs)
            except RecordChanged:
                raise Lost(job.id) from None
            self._revision += 1
            self.job = replace(self.job, beat=job.beat, **changed)

    async def beat(self, work: "asyncio.Task[Any]") -> None:
        """Give signs of life until cancelled; end the work when the job is somebody else's."""
        while True:
            await asyncio.sleep(BEAT)
            try:
                await self.put()
            except Lost:
                work.cancel()
                return
            except StoreError:  # a busy or full store: the next beat may get through
                continue


async def claim(store: Store, job_id: str, owner: str, now: Any) -> Running | None:
    """Take a job that nobody has. None if somebody was faster, or it is not there to be taken."""
    record = await store.records.get(JOBS.name, job_id)
    if record is None:
        return None
    job = read_job(record)
    if job.seen_at(now()).state != "stalled" or not job.background:
        return None
    running = Running(store, job, record.revision, now)
    try:
        await running.put(state="queued", owner=owner)
    except Lost:
        return None
    return running
