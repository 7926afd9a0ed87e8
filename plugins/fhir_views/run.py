"""`$viewdefinition-run`, also as `$run`: the rows of a view, streamed.

Spec: https://sql-on-fhir.org/ig/OperationDefinition-ViewDefinitionRun.html
"""

from collections.abc import AsyncIterator
from dataclasses import replace

from fhir_server.plugin_api import BadValue, Call, FhirResponse, Operation, PluginContext
from fhir_views.definitions import operation
from fhir_views.formats import format_named
from fhir_views.rows import limited, rows_of, rows_of_given, written
from fhir_views.sources import filter_of, refused_warnings, view_of

_AT_ONCE = 64 * 1024
"""Bytes up to which an answer is made whole, so that what goes wrong in it has its own status."""


async def run(ctx: PluginContext, call: Call) -> FhirResponse:
    """Answer with rows.

    Raises:
        BadRequest: parameters that exclude each other, or a format that there is not.
        NotFound: no such view, patient or group.
        InvalidResource: the view is wrong, or cannot be evaluated on a resource.
    """
    inputs = call.inputs
    chosen = format_named(inputs.one("_format"), call.request.headers.get("accept", ""))
    place = "viewResource" if inputs.one("viewResource") is not None else "ViewDefinition"
    view = await view_of(ctx, inputs, call.request.id)
    if call.request.preference("handling") == "strict":
        refused_warnings(view, place)
    limit = inputs.one("_limit")
    if limit is not None and limit < 0:
        raise BadValue("_limit is a number of rows", expression="_limit")
    wanted = await filter_of(ctx, inputs)
    given = inputs.many("resource")
    rows = rows_of_given(view, given, place) if given else rows_of(ctx, view, wanted, place)
    writer = chosen.make(view.columns, inputs.one("header", True))
    pieces = written(limited(rows, limit), writer, place)
    return await _answer(pieces, chosen.media_types[0])


async def _answer(pieces: AsyncIterator[bytes], media_type: str) -> FhirResponse:
    """Small answers whole, larger ones as a stream."""
    held: list[bytes] = []
    size = 0
    async for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size > _AT_ONCE:
            return FhirResponse(media_type=media_type, stream=_rest(held, pieces))
    return FhirResponse(body=tuple(held) or (b"",), media_type=media_type)


async def _rest(held: list[bytes], pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for piece in held:
        yield piece
    async for piece in pieces:
        yield piece


def operations() -> list[Operation]:
    """The operation under both of its names."""
    facts = operation("viewdefinition-run")
    found = Operation(facts, run, "The rows of a view, as JSON, NDJSON, CSV or Parquet.", any_format=True)
    return [found, replace(found, facts=replace(facts, code="run", system=False))]
