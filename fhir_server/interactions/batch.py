"""The FHIR batch interaction: each entry by itself, as if it had come alone.

Spec: https://hl7.org/fhir/R4/http.html#transaction
"""

import asyncio
from collections.abc import Iterator, Sequence

from fhir_server.context import Context
from fhir_server.errors import BadRequest, FhirError
from fhir_server.interactions.bundle import write_bundle
from fhir_server.interactions.entries import Entry, RequestReader, located, read_bundle
from fhir_server.interactions.entry_responses import failed, responded
from fhir_server.interactions.independence import dependent
from fhir_server.interactions.prepare import INLINE
from fhir_server.interactions.transaction import replay
from fhir_server.model.exchange import FhirRequest, FhirResponse

_AT_ONCE = 32
_ORDER = (("DELETE",), ("POST",), ("PUT", "PATCH"), ("GET", "HEAD"))


async def batch(ctx: Context, request: FhirRequest) -> FhirResponse:
    """Answer `POST [base]` with a Bundle of type batch: 200, whatever became of the entries.

    Deletes go before creates, creates before updates, and reads come last, as in a transaction; within such a group
    entries run side by side, since a batch promises nothing about what they do to each other. A Bundle of type history
    is replayed as a transaction.

    Raises:
        BadRequest: the Bundle cannot be read, or is no batch.
    """
    envelope = await read_bundle(ctx, request)
    if envelope.type == "history":
        return await replay(ctx, request, envelope.entries)
    if envelope.type != "batch":
        raise BadRequest(f"a Bundle of type {envelope.type[:80]!r}, not batch or transaction", expression="Bundle.type")
    entries = await _run(ctx, request, envelope.entries)
    body = write_bundle("batch-response", entries, identity=(ctx.new_id(), ctx.now()))
    return FhirResponse(200, (body,))


async def _run(ctx: Context, request: FhirRequest, entries: Sequence[Entry]) -> list[bytes]:
    refused = await asyncio.to_thread(dependent, entries) if len(request.body) > INLINE else dependent(entries)
    answers: dict[int, bytes] = {}
    reader = RequestReader(ctx, request)

    async def work(group: Iterator[Entry]) -> None:
        for entry in group:
            answers[entry.index] = await _answer(ctx, reader, entry, refused.get(entry.index))
            await asyncio.sleep(0)  # others have their turn, though the store may answer at once

    for methods in _ORDER:
        group = iter([entry for entry in entries if entry.method in methods])
        await asyncio.gather(*(work(group) for _ in range(_AT_ONCE)))
    return [answers[index] for index in range(len(entries))]


async def _answer(ctx: Context, reader: RequestReader, entry: Entry, refused: str | None) -> bytes:
    """Run one entry; what is wrong with it stays with it."""
    try:
        if refused is not None:
            raise BadRequest(refused)
        inner = reader.request(entry)
        if inner.interaction in ("batch", "transaction"):
            raise BadRequest("a batch cannot hold another", expression="http.url")
        return responded(inner, await ctx.execute(inner))
    except FhirError as error:
        return failed(located(error, entry))
