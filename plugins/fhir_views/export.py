"""`$viewdefinition-export`: the rows of views as files, made by a job.

Spec: https://sql-on-fhir.org/ig/OperationDefinition-ViewDefinitionExport.html
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from fhir_server.plugin_api import (
    BadRequest,
    BlobChange,
    Call,
    FhirResponse,
    Operation,
    Outputs,
    PluginContext,
    RecordChange,
    encode,
    instant,
)
from fhir_views.definitions import operation
from fhir_views.engine import Row, View
from fhir_views.files import file_record, url_of
from fhir_views.formats import Format, format_named
from fhir_views.rows import rows_of, written
from fhir_views.sources import Filter, filter_of, view_of

Pairs = list[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class _Wish:
    """One view to export: the name of its output, the view, and its place in the call."""

    name: str
    view: View
    place: str


async def export(ctx: PluginContext, call: Call) -> Outputs | FhirResponse:
    """Check all that is asked for; then answer with the job, or, within it, do the work.

    Raises:
        BadRequest: it was not asked for as a job, or parameters that cannot be.
        NotFound: no such view, patient or group.
        InvalidResource: a view is wrong.
    """
    if not ctx.core.in_job and call.request.preference("respond-async") is None:
        raise BadRequest("an export is a job: send Prefer: respond-async", expression="http.prefer")
    chosen = format_named(call.inputs.one("_format"), default="ndjson")
    if chosen.name == "fhir":
        raise BadRequest("files are csv, json, ndjson or parquet", expression="_format")
    wishes = await _wishes(ctx, call)
    wanted = await filter_of(ctx, call.inputs)
    if not ctx.core.in_job:
        chosen.make(wishes[0].view.columns, True)  # refuses a format whose package is missing
        return await _accepted(ctx, call)
    return await _done(ctx, call, _Export(ctx, chosen, wanted, call.inputs.one("header", True)), wishes)


async def _wishes(ctx: PluginContext, call: Call) -> list[_Wish]:
    asked = call.inputs.many("view")
    if call.request.id is not None:
        if asked:
            raise BadRequest("the view is the one in the URL: leave out view", expression="view")
        view = await view_of(ctx, type(call.inputs)(), call.request.id)
        return [_Wish(view.name, view, "ViewDefinition")]
    if not asked:
        raise BadRequest("name at least one view", expression="view")
    found = []
    for number, each in enumerate(asked):
        place = f"view[{number}]."
        view = await view_of(ctx, each, None, place)
        at = f"{place}viewResource" if each.one("viewResource") is not None else "ViewDefinition"
        found.append(_Wish(each.one("name") or view.name, view, at))
    names = [wish.name for wish in found]
    if len(set(names)) < len(names):
        raise BadRequest("two outputs have the same name: give each view a name", expression="view.name")
    return found


async def _accepted(ctx: PluginContext, call: Call) -> FhirResponse:
    if ctx.core.jobs is None:
        raise BadRequest("this server runs no jobs", expression="http.prefer")
    export_id = ctx.new_id()
    answer = await ctx.core.jobs.submit(ctx.core, call.request.but(request_id=export_id))
    where = answer.headers["Content-Location"]
    values = [*_identity(call, export_id), ("status", "accepted"), ("location", where), ("cancelUrl", where)]
    return FhirResponse(answer.status, (_parameters(values),), headers=answer.headers)


def _identity(call: Call, export_id: str) -> Pairs:
    tracking = call.inputs.one("clientTrackingId")
    return [("exportId", export_id), *([("clientTrackingId", tracking)] if tracking else [])]


_TYPES = {"exportId": "String", "clientTrackingId": "String", "status": "Code", "location": "Uri", "cancelUrl": "Uri"}


def _parameters(values: Pairs) -> bytes:
    parts = [{"name": name, f"value{_TYPES[name]}": value} for name, value in values]
    return encode({"resourceType": "Parameters", "parameter": parts})


@dataclass(slots=True)
class _Export:
    """The work of one job."""

    ctx: PluginContext
    format: Format
    wanted: Filter
    header: bool
    resources: int = 0

    async def file(self, wish: _Wish) -> RecordChange:
        """Write one file; return the record that keeps it."""
        writer = self.format.make(wish.view.columns, self.header)
        rows = self._counted(rows_of(self.ctx, wish.view, self.wanted, wish.place))
        blob = await self.ctx.store.stage(written(rows, writer, wish.place))
        record = file_record(self.ctx, wish.name, self.format, blob.id)
        await self.ctx.store.keep(BlobChange(blob.id, attach=True), records=[record])
        return record

    async def _counted(self, rows: AsyncIterator[list[Row]]) -> AsyncIterator[list[Row]]:
        async for batch in rows:
            self.resources += self.ctx.settings.page
            self.ctx.progress(self.resources)
            yield batch


async def _done(ctx: PluginContext, call: Call, work: _Export, wishes: list[_Wish]) -> Outputs:
    started = ctx.now()
    files = [(wish.name, await work.file(wish)) for wish in wishes]
    ended = ctx.now()
    outputs = [("output", [("name", name), ("location", url_of(ctx, record.key))]) for name, record in files]
    values: Pairs = [*_identity(call, call.request.request_id), ("status", "completed")]
    if ctx.core.job is not None:
        values.append(("location", f"{ctx.base}/$job/{ctx.core.job.id}"))
    values += [("_format", work.format.name), ("exportStartTime", instant(started)), ("exportEndTime", instant(ended))]
    return Outputs([*values, ("exportDuration", (ended - started) // 1000), *outputs])


def operations() -> list[Operation]:
    """The operation."""
    facts = operation("viewdefinition-export")
    said = "The rows of views as files: Parquet, NDJSON, CSV or JSON, made by a job."
    return [Operation(facts, export, said, background=True, makes_job=True)]
