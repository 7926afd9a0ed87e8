"""The FHIR transaction interaction: plan, commit, plan again on a conflict, then let the reads see the result.

Spec: https://hl7.org/fhir/R4/http.html#transaction
"""

from collections.abc import Sequence

from fhir_server.context import Context
from fhir_server.errors import BadRequest, Busy, FhirError
from fhir_server.interactions import delete
from fhir_server.interactions.bundle import write_bundle
from fhir_server.interactions.entries import Entry, RequestReader, breathe, located, read_bundle
from fhir_server.interactions.entry_responses import failed, responded
from fhir_server.interactions.outcome import prefixed
from fhir_server.interactions.store_errors import translate
from fhir_server.interactions.transaction.overlay import is_pending
from fhir_server.interactions.transaction.plan import Plan, plan
from fhir_server.interactions.transaction.reads import check_reads
from fhir_server.interactions.transaction.respond import written_entry
from fhir_server.interactions.transaction.steps import Step, read_step
from fhir_server.interactions.write import NOTHING_WRITTEN, pause
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.version import Version
from fhir_server.storage.base import CommitResult, ConditionChanged, StoreError, VersionChanged


async def transaction(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Answer `POST [base]` with a Bundle of type transaction: all entries are done, or none.

    Raises:
        BadRequest: the Bundle cannot be read, or two of its entries are about one resource.
        FhirError: as the entry that fails, with its place in the Bundle.
    """
    envelope = await read_bundle(ctx, request)
    if envelope.type != "transaction":
        raise BadRequest(f"a Bundle of type {envelope.type!r}, not transaction", expression="Bundle.type")
    entries = await run_entries(ctx, request, envelope.entries)
    body = write_bundle("transaction-response", entries, identity=(ctx.new_id(), ctx.now()))
    return FhirResponse(200, (body,))


async def run_entries(ctx: Context, request: FhirRequest, entries: Sequence[Entry]) -> list[bytes]:
    """Do all of the entries or none; return the entries of the response, in order. Raises as `transaction`."""
    reader = RequestReader(ctx, request)
    steps = []
    for entry in entries:
        steps.append(read_step(ctx, reader, entry))
        await breathe(len(steps))
    done, result = await _commit(ctx, steps)
    preferred = request.preference("return") or "minimal"
    answers = []
    for step in steps:
        if step.kind == "read":
            answers.append(await _read_entry(ctx, step, done))
        else:
            answers.append(_answer(step, done, result, preferred))
        await breathe(len(answers))
    return answers


async def _commit(ctx: Context, steps: Sequence[Step]) -> tuple[Plan, CommitResult]:
    for attempt in range(ctx.settings.conditional_retries + 1):
        planned = await plan(ctx, steps)
        planned = await check_reads(ctx, steps, planned)
        if not planned.changes:
            return planned, NOTHING_WRITTEN
        try:
            return planned, await ctx.commit(planned.changes)
        except ConditionChanged:
            await pause(attempt)
        except StoreError as error:
            if not isinstance(error, VersionChanged) or not planned.guessed:
                raise await _refused(ctx, error, steps, planned) from error
            await pause(attempt)
    raise Busy("others keep changing what this transaction depends on; try again")


async def _refused(ctx: Context, error: StoreError, steps: Sequence[Step], planned: Plan) -> FhirError:
    """Return the error for the client, with the entry whose resource the store speaks of."""
    found = await translate(ctx, error)
    key = getattr(error, "key", None)
    for step in steps:
        start, stop = planned.places[step.entry.index]
        if any(change.key == key for change in planned.changes[start:stop]):
            return located(found, step.entry)
    return found


def _answer(step: Step, done: Plan, result: CommitResult, preferred: str) -> bytes:
    start, stop = done.places[step.entry.index]
    if step.kind == "delete":
        return responded(step.request, delete.answer(step.request, result.written[start:stop]))
    written = result.written[start] if stop > start else None
    version = written.version if written is not None else _found(step, done, result)
    if version is None:
        raise AssertionError("a write without a version")
    noticed = (*done.issues.get(step.entry.index, ()), *(written.issues if written is not None else ()))
    issues = prefixed(noticed, f"Bundle.entry[{step.entry.index}].resource")
    return written_entry(step.request.base, version, written, preferred, issues)


def _found(step: Step, done: Plan, result: CommitResult) -> Version | None:
    """Return what a conditional create found; it may be a resource that the same transaction created."""
    version = done.found.get(step.entry.index)
    if version is None or not is_pending(version):
        return version
    return next(each.version for each in result.written if each.version and each.version.key == version.key)


async def _read_entry(ctx: Context, step: Step, done: Plan) -> bytes:
    """Run a read after the commit. Where nothing was written it may still fail the whole."""
    try:
        return responded(step.request, await ctx.execute(step.request))
    except FhirError as error:
        if not done.changes:
            raise located(error, step.entry) from error
        return failed(located(error, step.entry))
