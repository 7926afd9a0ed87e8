"""What the compiler knows on its way through a tree: the known values, the snapshot, the type it stands at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Final

from fhir_server.storage.sqlite.compile_sql import Source, Sql, sql
from fhir_server.storage.sqlite.compile_values import Values
from fhir_server.storage.sqlite.schema import CURRENT

PROBE: Final = 256  # rows counted of each source in the first round of planning

TextMatcher = Callable[[bool, str], tuple[bool, Sequence[int]]]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The instant that a search looks at; `live`: the newest, uncommitted rows of the own transaction included."""

    txid: int
    live: bool = True

    def valid(self, version: str) -> Sql:
        """Return the condition that a row of `version` belongs to the snapshot and is no deletion."""
        if self.live:
            return sql(f"{version}.to_txid={CURRENT} AND {version}.deleted=0")
        return sql(f"{version}.from_txid<=? AND {version}.to_txid>? AND {version}.deleted=0", self.txid, self.txid)


@dataclass(frozen=True, slots=True)
class Scope:
    """Where the compiler stands. `match_text` finds the versions whose text matches a query (negated or not)."""

    values: Values
    snapshot: Snapshot
    type: str
    contained: bool = False
    match_text: TextMatcher | None = None
    aliases: "count[int]" = field(default_factory=count)

    @property
    def rows_of(self) -> str:
        """The type under which index rows stand: `Patient`, or `#Patient` for contained ones."""
        return f"#{self.type}" if self.contained else self.type

    def at(self, type_: str, *, contained: bool = False) -> "Scope":
        """Return the scope at another type."""
        return replace(self, type=type_, contained=contained)

    def alias(self) -> str:
        """Return a new name for a table in the query."""
        return f"t{next(self.aliases)}"

    def param(self, code: str) -> int | None:
        """Return the id of a parameter here; None: no resource ever had a value for it."""
        return self.values.param(self.rows_of, code)

    def estimate(self, source: Source, limit: int = PROBE) -> int:
        """Count the rows of a source while reading fewer than `limit`; `limit` itself means that there may be more."""
        if source.size is not None:
            return min(source.size, limit)
        if source.parts:
            return min(limit, sum(self.estimate(part, limit) for part in source.parts))
        if source.inner is not None and self.estimate(source.inner, limit) == limit:
            return limit
        if source.scan is None:
            return self._counted("SELECT count(*),count(*) FROM (" + source.select + sql(" LIMIT ?)", limit), limit)
        return self._counted("SELECT count(*),total(ok) FROM (" + source.scan + sql(" LIMIT ?)", limit), limit)

    def _counted(self, query: Sql, limit: int) -> int:
        read, found = next(iter(self.values.connection.execute(query.text, query.values)))
        return limit if read == limit else int(found)
