"""The status of bulk work, and its end by DELETE.

Spec: https://hl7.org/fhir/uv/bulkdata/STU2/export.html#bulk-data-status-request
"""

from collections import defaultdict, deque
from contextlib import suppress
from email.utils import formatdate
from typing import Any

from fhir_bulk.exports import Export
from fhir_bulk.kinds import KINDS
from fhir_bulk.manifest import manifest, manifest_of
from fhir_bulk.records import JOBS, Bulk, Kind, load, remove
from fhir_bulk.running import hold_name
from fhir_server.plugin_api import (
    FhirError,
    FhirResponse,
    Issue,
    NotFound,
    PluginContext,
    Record,
    RouteRequest,
    RouteResponse,
    Snapshot,
    TooManyRequests,
    encode,
    outcome,
)

JSON, FHIR = "application/json", "application/fhir+json"
_MOST = 10_000


class Polls:
    """Counts the status requests to each job, in this process."""

    def __init__(self) -> None:
        self._times: defaultdict[str, deque[int]] = defaultdict(deque)

    def check(self, id_: str, now: int, most: int) -> None:
        """Raises TooManyRequests: more than `most` in the last second."""
        if not most:
            return
        if len(self._times) > _MOST:
            self._times.clear()
        times = self._times[id_]
        while times and times[0] <= now - 1_000:
            times.popleft()
        if len(times) >= most:
            error = TooManyRequests("this job is asked about too often; heed Retry-After")
            error.headers["Retry-After"] = "1"
            raise error
        times.append(now)


POLLS = Polls()


async def status(ctx: PluginContext, asked: RouteRequest) -> RouteResponse:
    """Answer how bulk work stands, or end it.

    Raises:
        NotFound: there is none, it was cancelled, or it is another client's.
    """
    kind = KINDS.get(asked.path["kind"])
    if kind is None:
        raise NotFound("there is nothing here", expression="http.url")
    found = await load(ctx, kind, asked.path["id"])
    if asked.method == "DELETE":
        return await _cancelled(ctx, kind, found)
    POLLS.check(found.id, ctx.now(), ctx.settings.polls)
    page = _page(asked, found)
    if found.state == "done" or (page and len(found.files) > page * ctx.settings.manifest_files):
        headers = {"Expires": formatdate(found.expires / 1_000, usegmt=True), "Cache-Control": "private, no-cache"}
        return RouteResponse(200, encode(manifest_of(ctx, found, page)), JSON, headers)
    return await _unfinished(ctx, found)


def _page(asked: RouteRequest, found: Bulk) -> int | None:
    """Return the page of the manifest; None where it is not cut into pages. Raises NotFound."""
    if not isinstance(found, Export) or not found.asked.partial:
        return None
    text = dict(asked.query).get("page", "0")
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise NotFound("the manifest has no such page", expression="http.page")
    return int(text)


async def _unfinished(ctx: PluginContext, export: Bulk) -> RouteResponse:
    """Say how the job stands. A manifest of the files that are ready goes with it where that was asked for."""
    job = await job_state(ctx, export.id)
    if job is not None and job.status >= 400:
        return RouteResponse(job.status, b"".join(job.body), FHIR)
    progress = job.headers.get("X-Progress", "") if job is not None else ""
    headers = {
        "X-Progress": progress or "queued",
        "Retry-After": str(wait(ctx, export.created)),
        "Cache-Control": "no-store",
    }
    if isinstance(export, Export) and export.asked.partial and len(export.files) >= ctx.settings.manifest_files:
        return RouteResponse(202, encode(manifest(ctx, export, 0)), JSON, headers)
    return RouteResponse(202, b"", "", headers)


def wait(ctx: PluginContext, created: int) -> int:
    """Return the seconds after which to ask again: the longer it takes, the later."""
    return int(min(max(1, (ctx.now() - created) // 10_000), ctx.settings.retry_after))


async def job_state(ctx: PluginContext, id_: str) -> FhirResponse | None:
    """Return what the job of an export answers; None while there is none."""
    record = await ctx.store.get(JOBS.name, id_)
    if record is None:
        return None
    try:
        return await ctx.client.request("GET", f"$job/{record.value['job']}")
    except NotFound:
        return None
    except FhirError as error:
        return FhirResponse(error.status, (outcome(error.issues),), headers=error.headers)


async def cancel_job(ctx: PluginContext, record: Record | None) -> None:
    """Stop the job that a record names."""
    if record is not None:
        with suppress(NotFound):
            await ctx.client.request("DELETE", f"$job/{record.value['job']}")


async def _cancelled(ctx: PluginContext, kind: Kind[Any], found: Bulk) -> RouteResponse:
    """End the work and remove its files; once the record is gone, nothing can be added to it any more."""
    record = await ctx.store.get(JOBS.name, found.id)
    await cancel_job(ctx, record)
    await remove(ctx, kind, found.id)
    await Snapshot(ctx.core, 0, 0).hold(hold_name(found.id), 0)
    kept = "; what it wrote stays" if kind.word == "import" else ""
    said = outcome([Issue(f"the {kind.word} is ended and its files are removed{kept}", "informational", "information")])
    return RouteResponse(202, said, FHIR)
