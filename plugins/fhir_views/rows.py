"""Rows of a view as they become ready, made in a thread so that others are served meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from time import monotonic
from typing import Any

from fhir_server.plugin_api import PluginContext, TooCostly
from fhir_views.engine import Row, View, ViewError
from fhir_views.formats import Writer
from fhir_views.sources import Filter, bodies, refusal


async def rows_of(ctx: PluginContext, view: View, wanted: Filter, place: str) -> AsyncIterator[list[Row]]:
    """Batches of rows of the server's resources.

    Raises:
        InvalidResource: the view cannot be evaluated on a resource; says which, and where in the view.
        TooCostly: it takes longer than a request may; jobs have no limit.
    """
    seconds = ctx.settings.run_seconds
    deadline = float("inf") if ctx.core.in_job else monotonic() + seconds
    async for batch in bodies(ctx, view, wanted):
        try:
            yield await asyncio.to_thread(_made, view, batch, deadline)
        except _Late:
            said = f"the view takes longer than {seconds:g} s: choose fewer resources, or export it"
            raise TooCostly(said, expression=place) from None
        except ViewError as error:
            raise refusal(error, place) from None


async def rows_of_given(view: View, resources: Sequence[dict[str, Any]], place: str) -> AsyncIterator[list[Row]]:
    """The rows of resources that came with the call."""
    try:
        yield await asyncio.to_thread(_made_of, view, list(_unwrapped(view, resources)))
    except ViewError as error:
        raise refusal(error, place) from None


def _unwrapped(view: View, resources: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What is in Bundles, in their place; a view of Bundles gets them as they are."""
    for each in resources:
        if each.get("resourceType") != "Bundle" or view.spec.resource == "Bundle":
            yield each
            continue
        for entry in each.get("entry", ()):
            if isinstance(resource := entry.get("resource"), dict):
                yield resource


async def limited(rows: AsyncIterator[list[Row]], most: int | None) -> AsyncIterator[list[Row]]:
    """At most so many rows."""
    left = most
    async for batch in rows:
        if left is not None:
            batch = batch[:left]
            left -= len(batch)
        yield batch
        if left == 0:
            return


async def written(rows: AsyncIterator[list[Row]], writer: Writer, place: str) -> AsyncIterator[bytes]:
    """The bytes of a file, piece by piece; never an empty piece.

    Raises:
        InvalidResource: a value does not fit the type of its column.
    """
    try:
        if head := writer.begin():
            yield head
        async for batch in rows:
            if piece := await asyncio.to_thread(writer.rows, batch):
                yield piece
        if tail := await asyncio.to_thread(writer.end):
            yield tail
    except ViewError as error:
        raise refusal(error, place) from None


class _Late(Exception):
    """The time is over."""


def _made(view: View, batch: Sequence[bytes], deadline: float) -> list[Row]:
    found: list[Row] = []
    for body in batch:
        if monotonic() > deadline:
            raise _Late
        found += view.rows_of((body,))
    return found


def _made_of(view: View, resources: Sequence[dict[str, Any]]) -> list[Row]:
    return [row for each in resources for row in view.rows(each)]
