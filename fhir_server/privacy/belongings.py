"""What of a patient stands outside the resources: records, large objects, results of jobs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fhir_server.context import Context
from fhir_server.jobs.job import JOBS, OPEN, read_job
from fhir_server.model.json import encode
from fhir_server.privacy.holds import HOLDS
from fhir_server.privacy.register import ERASURES
from fhir_server.storage.base import BlobChange, Collection, Record, RecordChange, Store

_PAGE: Final = 500
_OWN: Final = frozenset((HOLDS.name, ERASURES.name))


@dataclass(frozen=True, slots=True)
class Belongings:
    """Records by (collection, key), ids of blobs; `jobs` is how many of the records are those of jobs."""

    records: tuple[tuple[str, str], ...] = ()
    blobs: tuple[str, ...] = ()
    jobs: int = 0


async def belongings(ctx: Context, patient: str) -> Belongings:
    """Find them: records by the patient field of their collection or by a value `Patient/[id]`, and the results of
    finished jobs that speak of the patient."""
    records: list[tuple[str, str]] = []
    blobs = dict.fromkeys(await ctx.store.blobs.of_patient(patient))
    for collection in await ctx.store.records.collections():
        if collection.name not in _OWN and collection.name != JOBS.name:
            records += [(collection.name, key) for key in await _of(ctx.store, collection, patient)]
    plain = len(records)
    for record in await _jobs(ctx.store, patient):
        records.append((JOBS.name, record.key))
        blobs |= dict.fromkeys(_blobs(record))
    return Belongings(tuple(records), tuple(blobs), len(records) - plain)


async def remove(store: Store, found: Belongings) -> None:
    """Delete them, in slices."""
    records = [RecordChange(collection, key, None) for collection, key in found.records]
    blobs = [BlobChange(id_, attach=False) for id_ in found.blobs]
    for start in range(0, max(len(records), len(blobs)), _PAGE):
        await store.commit((), records[start : start + _PAGE], blobs[start : start + _PAGE])


async def _of(store: Store, collection: Collection, patient: str) -> list[str]:
    found: list[str] = []
    after = None
    while records := await store.records.find(collection.name, after=after, limit=_PAGE):
        found += [record.key for record in records if _is_of(record.value, collection.patient, patient)]
        after = records[-1].key
    return found


def _is_of(value: Mapping[str, object], field: str | None, patient: str) -> bool:
    reference = f"Patient/{patient}"
    return (field is not None and value.get(field) in (patient, reference)) or reference in value.values()


async def _jobs(store: Store, patient: str) -> list[Record]:
    await store.declare(JOBS)
    found: list[Record] = []
    after = None
    while records := await store.records.find(JOBS.name, after=after, limit=_PAGE):
        found += [
            record for record in records if record.value["state"] not in OPEN and await _tells(store, record, patient)
        ]
        after = records[-1].key
    return found


async def _tells(store: Store, record: Record, patient: str) -> bool:
    named = re.compile(rb"(?<![A-Za-z0-9\-.])" + re.escape(patient.encode()) + rb"(?![A-Za-z0-9\-.])")
    if named.search(encode(dict(record.value))):
        return True
    for blob in _blobs(record):
        tail = b""
        if await store.blobs.stat(blob) is None:
            continue
        async for chunk in await store.blobs.open(blob):
            if named.search(tail + chunk):
                return True
            tail = chunk[-200:]
    return False


def _blobs(record: Record) -> list[str]:
    """Return the result and the files of a job."""
    job = read_job(record)
    return [blob for blob in (job.blob, *(file.blob for file in job.files)) if blob]
