"""`$view-query`: SQL on the tables of materialized views."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from fhir_server.plugin_api import BadRequest, Call, FhirResponse, Forbidden, Operation, PluginContext
from fhir_views.definitions import operation
from fhir_views.formats import Format, format_named
from fhir_views.sql import Question, WrongSql, answered, needs, tables_in
from fhir_views.tables.contents import Arrow, shown
from fhir_views.tables.records import Table, parts, tables
from fhir_views.tables.upkeep import Upkeep, names


class Cache:
    """Partitions that were read lately, by their large object, which never changes."""

    def __init__(self, most: int) -> None:
        self._most, self._size = most, 0
        self._kept: OrderedDict[str, tuple[Arrow, int]] = OrderedDict()

    def get(self, blob: str) -> Arrow | None:
        """One of them."""
        found = self._kept.get(blob)
        if found is None:
            return None
        self._kept.move_to_end(blob)
        return found[0]

    def put(self, blob: str, content: Arrow) -> None:
        """Keep one; those that nobody asked for longest go."""
        self._kept[blob] = (content, content.nbytes)
        self._size += content.nbytes
        while self._size > self._most and self._kept:
            _, (_, size) = self._kept.popitem(last=False)
            self._size -= size


@dataclass(frozen=True, slots=True)
class Queries:
    """Answers questions in SQL."""

    upkeep: Upkeep
    cache: Cache

    async def query(self, ctx: PluginContext, call: Call) -> FhirResponse:
        """Answer with rows.

        Raises:
            BadRequest: it is not one SELECT, or names what is not there.
            Forbidden: the caller may not see all of a table.
            TooCostly: it takes too long or too much memory.
        """
        needs()
        chosen = format_named(call.inputs.one("_format"), call.request.headers.get("accept", ""))
        ready = {table.name: table for table in await tables(ctx) if table.state == "ready"}
        try:
            made = await self._made(ctx, call.inputs.one("query"), ready, chosen)
        except WrongSql as error:
            said = f"query: {error}; there are the tables {names(ready.values())}"
            raise BadRequest(said, expression="query") from None
        return FhirResponse(body=(made,), media_type=chosen.media_types[0])

    async def _made(self, ctx: PluginContext, text: str, ready: Mapping[str, Table], chosen: Format) -> bytes:
        wanted = await asyncio.to_thread(_named, text, ready)
        for table in wanted:
            if not await ctx.client.sees_as(ctx.own, table.type):
                raise Forbidden(
                    f"table {table.name} holds all of {table.type}, which you may not see", expression="query"
                )
        contents = {table.name: await self._content(ctx, table) for table in wanted}
        return await asyncio.to_thread(answered, Question(text, contents), chosen, ctx.settings)

    async def _content(self, ctx: PluginContext, table: Table) -> Arrow:
        import pyarrow as pa

        contents = self.upkeep.contents(ctx, table)
        found = []
        for part in await parts(ctx, table):
            content = self.cache.get(part.blob)
            if content is None:
                data = b"".join([chunk async for chunk in await ctx.store.open(part.blob)])
                content = shown(await asyncio.to_thread(contents.read, data))
                self.cache.put(part.blob, content)
            found.append(content)
        return pa.concat_tables(found) if found else shown(contents.over(None, {}))


def _named(text: str, ready: Mapping[str, Table]) -> list[Table]:
    """The tables that a query names. Raises WrongSql: it is not one SELECT."""
    found = tables_in(text)
    return [table for name, table in sorted(ready.items()) if name.lower() in found]


def operations(queries: Queries) -> list[Operation]:
    """The operation."""
    return [Operation(operation("view-query"), queries.query, "SQL on materialized views.", any_format=True)]
