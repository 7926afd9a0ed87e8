"""SQL on tables, by DuckDB: one SELECT that sees the tables and nothing else.

Source: https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview
"""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from importlib.util import find_spec
from typing import Any

from fhir_server.plugin_api import BadRequest, Call, FhirResponse, Forbidden, Operation, PluginContext, TooCostly
from fhir_views.definitions import operation
from fhir_views.engine import Column, Row
from fhir_views.formats import Format, format_named
from fhir_views.tables.contents import Arrow, shown
from fhir_views.tables.records import Table, parts, tables
from fhir_views.tables.upkeep import Upkeep, names

_ONLY = ("duckdb", "pyarrow")
_TYPES = {"BOOLEAN": "boolean", "BIGINT": "integer", "INTEGER": "integer", "HUGEINT": "integer", "DOUBLE": "decimal"}
_SETTINGS = (
    "SET enable_external_access=false",
    "SET python_enable_replacements=false",
    "SET autoload_known_extensions=false",
    "SET autoinstall_known_extensions=false",
)


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
        text = call.inputs.one("query")
        ready = {table.name: table for table in await tables(ctx) if table.state == "ready"}
        wanted = await asyncio.to_thread(_named, text, ready)
        for table in wanted:
            if not await ctx.client.sees_as(ctx.own, table.type):
                raise Forbidden(
                    f"table {table.name} holds all of {table.type}, which you may not see", expression="query"
                )
        contents = {table.name: await self._content(ctx, table) for table in wanted}
        made = await asyncio.to_thread(_answered, text, contents, chosen, list(ready.values()), ctx.settings)
        return FhirResponse(body=(made,), media_type=chosen.media_types[0])

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


def needs() -> None:
    """Check that what SQL runs on is installed. Raises BadRequest: it is not."""
    missing = [name for name in _ONLY if find_spec(name) is None]
    if missing:
        raise BadRequest(f"SQL needs {' and '.join(missing)}: pip install 'fhir-server[views]'", expression="query")


def _named(text: str, ready: Mapping[str, Table]) -> list[Table]:
    """The tables that a query names. Raises BadRequest: it is not one SELECT."""
    import duckdb

    try:
        statements = duckdb.extract_statements(text)
        if len(statements) != 1 or statements[0].type is not duckdb.StatementType.SELECT:
            raise BadRequest("query is one SELECT", expression="query")
        found = duckdb.get_table_names(text)
    except duckdb.Error as error:
        raise _wrong(error, ready.values()) from None
    by_name = {name.lower(): table for name, table in ready.items()}
    return [by_name[name.lower()] for name in sorted(found) if name.lower() in by_name]


def _wrong(error: Exception, known: Any) -> BadRequest:
    said = str(error).splitlines()[0][:500]
    return BadRequest(f"query: {said}; there are the tables {names(known)}", expression="query")


def _answered(text: str, contents: Mapping[str, Arrow], chosen: Format, known: Sequence[Table], settings: Any) -> bytes:
    """Run the query in a connection of its own, and write what it gives; `known` are all tables, for messages."""
    import duckdb

    with duckdb.connect(":memory:") as connection:
        for name, content in contents.items():
            connection.register(name, content)
        for line in (*_SETTINGS, f"SET memory_limit='{settings.sql_memory}MB'", "SET threads=2"):
            connection.execute(line)
        connection.execute("SET lock_configuration=true")
        timer = threading.Timer(settings.sql_timeout, connection.interrupt)
        timer.start()
        try:
            found = connection.execute(text)
            columns = [_column(name, str(type_)) for name, type_, *_ in found.description or ()]
            writer = chosen.make(columns, True)
            return b"".join([writer.begin(), *map(writer.rows, _rows(found, settings.sql_rows)), writer.end()])
        except duckdb.InterruptException:
            raise TooCostly(f"the query takes longer than {settings.sql_timeout:g} s", expression="query") from None
        except duckdb.OutOfMemoryException:
            raise TooCostly(f"the query needs more than {settings.sql_memory} MB", expression="query") from None
        except duckdb.Error as error:
            raise _wrong(error, known) from None
        finally:
            timer.cancel()


def _rows(found: Any, most: int) -> Iterator[Sequence[Row]]:
    count = 0
    while batch := found.fetchmany(10_000):
        count += len(batch)
        if count > most:
            raise TooCostly(f"the query gives more than {most} rows: ask for less, or add LIMIT", expression="query")
        yield [tuple(map(_plain, row)) for row in batch]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, float) and value == value and abs(value) != float("inf"):
        return Decimal(repr(value))
    if isinstance(value, float):
        return None
    return value if value is None or isinstance(value, bool | int | str | Decimal | list | dict) else str(value)


def _column(name: str, type_: str) -> Column:
    return Column(name, _TYPES.get(type_.upper(), "decimal" if "DECIMAL" in type_.upper() else "string"), "query")


def operations(queries: Queries) -> list[Operation]:
    """The operation."""
    return [Operation(operation("view-query"), queries.query, "SQL on materialized views.", any_format=True)]
