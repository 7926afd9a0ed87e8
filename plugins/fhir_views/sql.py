"""SQL by DuckDB: one SELECT that sees the tables it is given and nothing else.

Source: https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from importlib.util import find_spec
from typing import Any

from fhir_server.plugin_api import BadRequest, TooCostly
from fhir_views.engine import Column, Row
from fhir_views.formats import Format

Arrow = Any

_ONLY = ("duckdb", "pyarrow")
_TYPES = {"BOOLEAN": "boolean", "BIGINT": "integer", "INTEGER": "integer", "HUGEINT": "integer", "DOUBLE": "decimal"}
_SETTINGS = (
    "SET enable_external_access=false",
    "SET python_enable_replacements=false",
    "SET autoload_known_extensions=false",
    "SET autoinstall_known_extensions=false",
)


class WrongSql(ValueError):
    """The query is not one SELECT, or cannot be done; the text is what DuckDB says, in one line."""

    def __init__(self, error: object) -> None:
        super().__init__(str(error).splitlines()[0][:500])


@dataclass(frozen=True, slots=True)
class Question:
    """A SELECT with the tables that it may see. values: of its `$name`. limit: the most rows that are wanted."""

    text: str
    tables: Mapping[str, Arrow]
    values: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None
    header: bool = True


def needs() -> None:
    """Check that what SQL runs on is installed. Raises BadRequest: it is not."""
    missing = [name for name in _ONLY if find_spec(name) is None]
    if missing:
        raise BadRequest(f"SQL needs {' and '.join(missing)}: pip install 'fhir-server[views]'", expression="query")


def tables_in(text: str) -> set[str]:
    """The names of tables in a query, in small letters. Raises WrongSql: it is not one SELECT."""
    import duckdb

    try:
        statements = duckdb.extract_statements(text)
        if len(statements) != 1 or statements[0].type is not duckdb.StatementType.SELECT:
            raise WrongSql("it is one SELECT, this is not")
        return {name.lower() for name in duckdb.get_table_names(text)}
    except duckdb.Error as error:
        raise WrongSql(error) from None


def answered(question: Question, chosen: Format, settings: Any) -> bytes:
    """Run a query in a connection of its own, and write what it gives.

    Raises:
        WrongSql: it cannot be done.
        TooCostly: it takes too long, too much memory, or gives too many rows.
    """
    import duckdb

    with duckdb.connect(":memory:") as connection:
        for name, content in question.tables.items():
            connection.register(name, content)
        for line in (*_SETTINGS, f"SET memory_limit='{settings.sql_memory}MB'", "SET threads=2"):
            connection.execute(line)
        connection.execute("SET lock_configuration=true")
        timer = threading.Timer(settings.sql_timeout, connection.interrupt)
        timer.start()
        try:
            return _written(connection.execute(question.text, dict(question.values)), question, chosen, settings)
        except duckdb.InterruptException:
            raise TooCostly(f"the query takes longer than {settings.sql_timeout:g} s", expression="query") from None
        except duckdb.OutOfMemoryException:
            raise TooCostly(f"the query needs more than {settings.sql_memory} MB", expression="query") from None
        except duckdb.Error as error:
            raise WrongSql(error) from None
        finally:
            timer.cancel()


def _written(found: Any, question: Question, chosen: Format, settings: Any) -> bytes:
    columns = [_column(name, str(type_)) for name, type_, *_ in found.description or ()]
    writer = chosen.make(columns, question.header)
    pieces = map(writer.rows, _limited(_rows(found, settings.sql_rows), question.limit))
    return b"".join([writer.begin(), *pieces, writer.end()])


def _limited(batches: Iterator[Sequence[Row]], most: int | None) -> Iterator[Sequence[Row]]:
    left = most
    for batch in batches:
        yield batch if left is None else batch[:left]
        if left is not None:
            left -= len(batch)
            if left <= 0:
                return


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
