"""A job that this process has: its record is written by revision, so that nobody else has it too."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from fhir_server.context import JobFile
from fhir_server.jobs.job import JOBS, Job, read_job
from fhir_server.resilience import pauses
from fhir_server.storage.base import (
    BlobChange,
    Record,
    RecordChange,
    RecordChanged,
    Store,
    StoreError,
    StoreUnavailable,
)

BEAT = 1.0
"""Seconds between signs of life."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0


class Lost(Exception):
    """Somebody else has written the job: it was cancelled, or taken over."""


class Running:
    """One job of this process."""

    def __init__(self, store: Store, job: Job, revision: int, now: Any) -> None:
        self.store, self.job = store, job
        self._revision, self._now = revision, now
        self._turn = asyncio.Lock()

    @property
    def id(self) -> str:
        """Its id."""
        return self.job.id

    @property
    def checkpoint(self) -> Mapping[str, Any]:
        """What was saved last."""
        return self.job.checkpoint

    @property
    def files(self) -> Sequence[JobFile]:
        """The files that it made so far."""
        return self.job.files

    async def save(
        self, checkpoint: Mapping[str, Any], files: Sequence[JobFile] = (), records: Sequence[RecordChange] = ()
    ) -> None:
        """Write how far it came, its new files and records, all or nothing. Raises Lost."""
        blobs = tuple(BlobChange(file.blob, attach=True) for file in files)
        await self.put(blobs, records, checkpoint=dict(checkpoint), files=(*self.job.files, *files))

    def progress(self, done: int, of: int) -> None:
        """Note how far the work came; the next sign of life says so to all."""
        self.job = replace(self.job, done=done, of=of)

    async def put(self, blobs: Sequence[BlobChange] = (), records: Sequence[RecordChange] = (), **changed: Any) -> None:
        """Write the job with these fields changed, and what goes with it. Raises Lost."""
        async with self._turn:
            job = replace(self.job, beat=self._now(), **changed)
            change = RecordChange(JOBS.name, job.id, job.as_record(), expected=self._revision)
            try:
                await self.store.commit((), (change, *records), blobs)
            except RecordChanged:
                if records and await self._is_ours():
                    raise  # it was one of the records beside
                raise Lost(job.id) from None
            self._revision += 1
            self.job = replace(self.job, beat=job.beat, **changed)

    async def _is_ours(self) -> bool:
        record = await self.store.records.get(JOBS.name, self.job.id)
        return record is not None and record.revision == self._revision

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

    async def release(self) -> None:
        """Leave the job for another process: without a sign of life it is stalled at once."""
        with suppress(Lost, StoreError):
            if self.job.background:
                await self._queue()
            else:
                await self.put(state="stalled", owner="")

    async def release_at_last(self) -> None:
        """Leave the job for another try as soon as the store takes it; meanwhile it counts as running here."""
        for pause in pauses(_FIRST_PAUSE, _LONGEST_PAUSE, even=True):
            with suppress(Lost):
                try:
                    await self._queue()
                except StoreUnavailable:
                    await asyncio.sleep(pause)
                    continue
            return

    async def _queue(self) -> None:
        await self.put(state="queued", owner="", tries=max(0, self.job.tries - 1))


async def claim(store: Store, record: Record, owner: str, now: Any) -> Running | None:
    """Take a job that nobody alive has. None if somebody was faster."""
    job = read_job(record)
    running = Running(store, job, record.revision, now)
    try:
        await running.put(state="queued", owner=owner, tries=job.tries + 1)
    except Lost:
        return None
    return running
