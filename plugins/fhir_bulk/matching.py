"""`Patient/$bulk-match`: `$match` for each of many patients, as a job; of each, a Bundle is a line of a file.

Spec: https://build.fhir.org/ig/HL7/bulk-data/match.html
"""

from collections.abc import AsyncIterator
from dataclasses import replace

from fhir_bulk.asked import FORMATS, NDJSON
from fhir_bulk.files import Files, Ndjson
from fhir_bulk.importing import told
from fhir_bulk.kickoff import accepted, check_open, start
from fhir_bulk.lines import Line, closing, lines_of
from fhir_bulk.matches import MATCHES, Matching
from fhir_bulk.reading import Block
from fhir_bulk.records import File, find, may_see, owner_of, save
from fhir_server.plugin_api import (
    BadRequest,
    BadValue,
    Call,
    FhirError,
    FhirResponse,
    Gone,
    NotFound,
    PluginContext,
    RecordChanged,
    decode,
    encode,
)

LINK = "_match"
SUBMITTED = "http://hl7.org/fhir/uv/bulkdata/StructureDefinition/match-resource"
_WEEK = 7 * 86_400_000
_AT_ONCE = 20


async def bulk_match(ctx: PluginContext, call: Call) -> FhirResponse:
    """Answer `$bulk-match`: 202 with the status URL; within its job, do the work.

    Raises:
        BadRequest: not asked to be done beside, no patients, or two of one id.
    """
    id_ = call.request.parameter(LINK)
    if id_ is not None and ctx.core.in_job:
        return await _work(ctx, id_)
    if id_ is not None or call.request.preference("respond-async") is None:
        raise BadRequest("$bulk-match goes on beside the request: ask with `Prefer: respond-async`")
    _check(ctx, call)
    await check_open(ctx)
    kept = await _kept(ctx, call)
    await start(ctx, call.request, (LINK, kept.id))
    return accepted(ctx, "matches", kept.id)


def _check(ctx: PluginContext, call: Call) -> None:
    if FORMATS.get(call.inputs.one("_outputFormat", "ndjson")) != NDJSON:
        raise BadValue("_outputFormat: matches come as application/fhir+ndjson", expression="http._outputFormat")
    patients = call.inputs.many("resource")
    if not patients:
        raise BadRequest("$bulk-match needs patients, each a parameter `resource`", expression="resource")
    if any(each.get("resourceType") != "Patient" for each in patients):
        raise BadValue("resource: each is a Patient", expression="resource")
    ids = [each["id"] for each in patients if "id" in each]
    if len(ids) != len(set(ids)):
        raise BadValue("resource: two patients have one id, so their matches could not be told apart")
    if ctx.core.operations.find("match", "Patient", "type") is None:
        raise NotFound("this server has no $match", expression="http.url")


async def _kept(ctx: PluginContext, call: Call) -> Matching:
    """Keep the patients that are sent."""

    async def lines() -> AsyncIterator[bytes]:
        for each in call.inputs.many("resource"):
            yield encode(each) + b"\n"

    ref = await ctx.store.stage(lines())
    now = ctx.now()
    made = Matching(
        id=ctx.new_id(),
        owner=owner_of(ctx.caller),
        scopes=ctx.caller.scopes,
        request=f"{call.request.base}/Patient/$bulk-match",
        source=ref.id,
        size=ref.size,
        created=now,
        expires=now + _WEEK,
        count=1 if call.inputs.one("onlySingleMatch", False) else call.inputs.one("count", 0),
        certain=call.inputs.one("onlyCertainMatches", False),
        token=ctx.core.settings.auth != "none",
    )
    found: Matching = await save(ctx, made, ref.id)
    return found


async def _work(ctx: PluginContext, id_: str) -> FhirResponse:
    found = await find(ctx, MATCHES, id_)
    if found is None or not may_see(ctx, found):
        raise NotFound(f"the match {id_} was cancelled", expression="http.url")
    try:
        await MatchWork(ctx, found).run()
    except RecordChanged:
        raise Gone(f"the match {id_} was cancelled") from None
    return FhirResponse(200, (b"{}",), media_type="application/json")


class MatchWork:
    """One bulk match at work."""

    def __init__(self, ctx: PluginContext, found: Matching) -> None:
        self._ctx, self._found = ctx, found
        self._pending = list(found.pending)

    async def run(self) -> None:
        """Do it, or what is left of it. Raises RecordChanged: it was cancelled, or another process goes on."""
        most = self._ctx.settings.file_resources, self._ctx.settings.file_bytes
        files = Files(self._ctx.store, lambda type_: Ndjson(), most)
        async for ref, written in files.of("Bundle", self._blocks()):
            file = File("output", "Bundle", f"{len(self._found.files) + 1}.Bundle.ndjson", ref.id, ref.size,
                        written.count)  # fmt: skip
            ahead = replace(self._found, files=(*self._found.files, file), offset=written.after or 0)
            ahead = replace(ahead, line=self._found.line + written.count, pending=tuple(self._pending))
            self._found = await save(self._ctx, ahead, ref.id)
        await self._errors()
        keep = self._ctx.now() + self._ctx.settings.keep * 1_000
        done = replace(self._found, state="done", expires=keep, finished=self._ctx.now(), pending=())
        self._found = await save(self._ctx, done)

    async def _blocks(self) -> AsyncIterator[Block]:
        start = self._found.offset, self._found.line
        block: list[bytes] = []
        async with closing(await self._ctx.store.open(self._found.source, start[0])) as chunks:
            async for line in lines_of(chunks, start, self._ctx.settings.import_line):
                block.append(await self._matched(line))
                self._ctx.progress(line.end, self._found.size)
                if len(block) == _AT_ONCE:
                    yield Block(b"".join(block), len(block), line.end)
                    block = []
        if block:
            yield Block(b"".join(block), len(block), self._found.size)

    async def _matched(self, line: Line) -> bytes:
        """Return the Bundle of one patient; what stands in the way makes it empty, and is told."""
        patient = decode(line.data or b"{}")
        parameters = [{"name": "resource", "resource": patient}]
        if self._found.count:
            parameters.append({"name": "count", "valueInteger": self._found.count})
        if self._found.certain:
            parameters.append({"name": "onlyCertainMatches", "valueBoolean": True})
        about = [{"url": SUBMITTED, "valueReference": {"reference": f"Patient/{patient.get('id', line.number)}"}}]
        try:
            asked = {"resourceType": "Parameters", "parameter": parameters}
            found = await self._ctx.client.operation("match", asked, type_="Patient")
        except FhirError as error:
            self._pending.append(told(f"Patient/{patient.get('id', '')}", line.number, error.issues))
            found = {"resourceType": "Bundle", "type": "searchset", "total": 0}
        return encode({**found, "meta": {**found.get("meta", {}), "extension": about}}) + b"\n"

    async def _errors(self) -> None:
        lines = "".join(f"{line}\n" for line in self._pending).encode()

        async def chunks() -> AsyncIterator[bytes]:
            yield lines

        if lines:
            ref = await self._ctx.store.stage(chunks())
            name = f"{len(self._found.files) + 1}.OperationOutcome.ndjson"
            file = File("error", "OperationOutcome", name, ref.id, ref.size, len(self._pending))
            self._found = await save(self._ctx, replace(self._found, files=(*self._found.files, file)), ref.id)
