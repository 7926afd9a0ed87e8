"""`$sqlquery-run`: the SQL of a Library on the views that it depends on, as its caller sees them.

Spec: https://sql-on-fhir.org/ig/OperationDefinition-SQLQueryRun.html
"""

import asyncio
import binascii
import re
from base64 import b64decode
from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from typing import Any

from fhir_server.plugin_api import (
    BadRequest,
    BadValue,
    Call,
    FhirResponse,
    InvalidResource,
    Issue,
    Operation,
    PluginContext,
    TooCostly,
)
from fhir_views.definitions import operation
from fhir_views.engine import Row, View, ViewError
from fhir_views.formats import format_named
from fhir_views.formats.parquet import converter_of, field_of
from fhir_views.rows import rows_of
from fhir_views.sources import Filter, Naming, compiled, filter_of, named, refusal, stored
from fhir_views.sql import Arrow, Question, WrongSql, answered, needs, tables_in

_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VALUES = {
    "string": "String", "code": "Code", "id": "Id", "uri": "Uri", "date": "Date", "dateTime": "DateTime",
    "instant": "Instant", "time": "Time", "boolean": "Boolean", "integer": "Integer", "decimal": "Decimal",
}  # fmt: skip
# What may hold a colon that names nothing: texts, names in quotes, comments, casts. Then `:name` itself. What does not
# end goes to the end of all, so that nothing is looked through twice.
_TOKEN = re.compile(
    r"""\b[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z) | '(?:[^']|'')*(?:'|\Z) | "(?:[^"]|"")*(?:"|\Z) | --[^\n]*
    | /\*.*?(?:\*/|\Z) | \$(\w*)\$.*?(?:\$\1\$|\Z) | :: | :([A-Za-z_]\w*)""",
    re.VERBOSE | re.DOTALL,
)


async def run_query(ctx: PluginContext, call: Call) -> FhirResponse:
    """Answer with rows.

    Raises:
        BadRequest: parameters that the Library does not declare, or that it needs, or of another type.
        NotFound: no such Library, or a view that it depends on is not there.
        InvalidResource: the Library is no query, a view is wrong, or the SQL cannot be done.
        TooCostly: it takes too long, too much memory, or too many rows.
    """
    needs()
    inputs = call.inputs
    chosen = format_named(inputs.one("_format"), call.request.headers.get("accept", ""))
    limit = inputs.one("_limit")
    if limit is not None and limit < 0:
        raise BadValue("_limit is a number of rows", expression="_limit")
    wanted = await filter_of(ctx, inputs)
    library = await named(ctx, inputs, call.request.id, Naming("Library", "query"))
    sql, values = _sql(library), _values(library, inputs.one("parameters") or {})
    text, used = _bindable(sql, values)
    await asyncio.to_thread(import_module, "pyarrow")  # takes a second when it is the first time
    try:
        names = await asyncio.to_thread(tables_in, _bindable(sql, values, null=True)[0])
        async with asyncio.timeout(ctx.settings.run_seconds):
            tables = await _tables(ctx, library, inputs.many("viewResource"), (names, wanted))
        question = Question(text, tables, {name: values[name] for name in used}, limit, inputs.one("header", True))
        made = await asyncio.to_thread(answered, question, chosen, ctx.settings)
    except TimeoutError:
        said = f"the views take longer than {ctx.settings.run_seconds:g} s: keep them as tables, or ask for less"
        raise TooCostly(said, expression="Library.relatedArtifact") from None
    except WrongSql as error:
        raise _wrong(f"{error}", "content.data", "the query cannot be done") from None
    return FhirResponse(body=(made,), media_type=chosen.media_types[0])


def _sql(library: Mapping[str, Any]) -> str:
    """The SQL in the dialect of DuckDB, else in none."""
    found: dict[str, Any] = {}
    for each in library.get("content", ()):
        kind, _, more = str(each.get("contentType", "")).replace(" ", "").partition(";")
        if kind == "application/sql":
            found.setdefault(more.removeprefix("dialect=").lower(), each.get("data"))
    data = found.get("duckdb") or found.get("")
    if not isinstance(data, str):
        raise _wrong("it has no content of type application/sql with data", "content")
    try:
        return b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise _wrong("this is no text in base64", "content.data") from None


def _wrong(said: str, element: str, what: str = "the Library is no query") -> InvalidResource:
    issue = Issue(f"{what}: {said}", "invalid", expression=(f"Library.{element}",))
    return InvalidResource(f"{what}: {said}", issues=[issue])


# --- parameters


def _declared(library: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in library.get("parameter", ()) if each.get("use") != "out" and each.get("name")]


def _bindable(sql: str, names: Collection[str], *, null: bool = False) -> tuple[str, set[str]]:
    """The SQL with `:name` as DuckDB has it, `$name`, or as null, and the names that it has."""
    used: set[str] = set()

    def bound(match: re.Match[str]) -> str:
        if match[2] not in names:
            return match[0]
        used.add(match[2])
        return "NULL" if null else f"${match[2]}"

    return _TOKEN.sub(bound, sql), used


def _values(library: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the parameters that a Library declares; null for one that may be left out."""
    declared = {each["name"]: each for each in _declared(library)}
    found: dict[str, Any] = {}
    for each in given.get("parameter", ()):
        name = each.get("name")
        if name not in declared:
            known = ", ".join(declared) or "none"
            raise BadRequest(f"the query has no parameter {name!r}; it has {known}", expression="parameters")
        if name in found:
            raise BadRequest(f"parameter {name} is given twice", expression="parameters")
        type_ = str(declared[name].get("type"))
        key = f"value{_VALUES.get(type_, 'String')}"
        if key not in each:
            raise BadRequest(f"parameter {name} is a {type_}: give it as {key}", expression=f"parameters.{name}")
        found[name] = each[key]
    missing = [name for name, each in declared.items() if name not in found and each.get("min") != 0]
    if missing:
        raise BadRequest(f"the query needs the parameter {missing[0]}", expression=f"parameters.{missing[0]}")
    return dict.fromkeys(declared) | found


# --- tables


async def _tables(
    ctx: PluginContext, library: Mapping[str, Any], given: Sequence[dict[str, Any]], asked: tuple[set[str], Filter]
) -> dict[str, Arrow]:
    """The views that a query names, under their labels."""
    names, wanted = asked
    found: dict[str, Arrow] = {}
    labels: set[str] = set()
    left = ctx.settings.sql_rows
    for number, each in enumerate(library.get("relatedArtifact", ())):
        if each.get("type") != "depends-on":
            continue
        at, label = f"relatedArtifact[{number}]", str(each.get("label") or "")
        if not _LABEL.fullmatch(label) or label.lower() in labels:
            raise _wrong(f"each view has a label of its own, a name; {label[:80]!r} is none", f"{at}.label")
        labels.add(label.lower())
        if label.lower() in names:
            view = await _view(ctx, str(each.get("resource") or ""), given, at)
            found[label] = await _table(ctx, view, wanted, left)
            left -= len(found[label])
    return found


async def _view(ctx: PluginContext, url: str, given: Sequence[dict[str, Any]], at: str) -> View:
    place, version = url.partition("|")[::2]
    for each in given:
        if each.get("url") == place and (not version or each.get("version") == version):
            return compiled(ctx, each, "viewResource")
    return compiled(ctx, await stored(ctx, "ViewDefinition", url, f"Library.{at}.resource"))


async def _table(ctx: PluginContext, view: View, wanted: Filter, most: int) -> Arrow:
    import pyarrow as pa

    schema = pa.schema([field_of(column) for column in view.columns])
    converters = [converter_of(column) for column in view.columns]

    def batch(rows: list[Row]) -> Arrow:
        values = zip(*rows, strict=True)
        made = [[convert(each) for each in column] for convert, column in zip(converters, values, strict=True)]
        return pa.record_batch([pa.array(each, field.type) for each, field in zip(made, schema, strict=True)], schema)

    found, count = [], 0
    async for rows in rows_of(ctx, view, wanted, "ViewDefinition"):
        count += len(rows)
        if count > most:
            said = f"the views have more than {ctx.settings.sql_rows} rows"
            raise TooCostly(said, expression="Library.relatedArtifact")
        try:
            found += [await asyncio.to_thread(batch, rows)] if rows else []
        except ViewError as error:
            raise refusal(error) from None
    return pa.Table.from_batches(found, schema)


def operations() -> list[Operation]:
    """The operation."""
    return [Operation(operation("sqlquery-run"), run_query, "SQL of a Library on views.", any_format=True)]
