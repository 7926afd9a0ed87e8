"""From the names in a search to the small integers under which the store keeps them; what is unknown is None."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

import apsw

from fhir_server.search.query import TokenValue
from fhir_server.storage.sqlite.blind import is_hidden
from fhir_server.storage.sqlite.composites import CANONICAL_SYSTEM
from fhir_server.storage.sqlite.connection import blind_of

MANY_VALUES: Final = 1_000  # a `system|` with more codes than this is joined instead of listed


class Values:
    """Look-ups in one read transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self._params: dict[tuple[str, str], int | None] = {}

    def one(self, statement: str, *values: Any) -> Any:
        """Return the first column of the first row, or None."""
        row = self.connection.execute(statement, values).fetchone()
        return None if row is None else row[0]

    def column(self, statement: str, *values: Any) -> list[Any]:
        """Return the first column of all rows."""
        return [row[0] for row in self.connection.execute(statement, values)]

    def type(self, name: str) -> int | None:
        """Return the id of a resource type."""
        return self.one("SELECT type FROM type WHERE name=?", name)  # type: ignore[no-any-return]

    def param(self, type_: str, code: str) -> int | None:
        """Return the id of a search parameter of a type."""
        key = type_, code
        if key not in self._params:
            self._params[key] = self.one("SELECT param FROM param WHERE type=? AND code=?", *key)
        return self._params[key]

    def params_below(self, type_: str, code: str) -> list[int]:
        """Return the parameter itself and what belongs to it (`subject`, `subject:identifier`)."""
        bounds = type_, code, f"{code}:", f"{code};"
        return self.column("SELECT param FROM param WHERE type=? AND (code=? OR code>=? AND code<?)", *bounds)

    def rid(self, type_: str, id_: str) -> int | None:
        """Return the rid of a resource."""
        kind = self.type(type_)
        return None if kind is None else self.one("SELECT rid FROM resource WHERE type=? AND id=?", kind, id_)

    def rids(self, type_: str, ids: Iterable[str]) -> list[int]:
        """Return the rids of those resources of a type that are known."""
        kind = self.type(type_)
        found = [self.one("SELECT rid FROM resource WHERE type=? AND id=?", kind, id_) for id_ in dict.fromkeys(ids)]
        return [rid for rid in found if rid is not None]

    def rids_of_any_type(self, id_: str) -> list[int]:
        """Return the rids of the resources of all types that have this id."""
        return self.column("SELECT rid FROM resource WHERE type IN (SELECT type FROM type) AND id=?", id_)

    def uri(self, url: str) -> int | None:
        """Return the id of a URI."""
        return self.one("SELECT value FROM uri_value WHERE uri=?", url)  # type: ignore[no-any-return]

    def system(self, url: str) -> int | None:
        """Return the id of a code system; "" is no system."""
        return 0 if url == "" else self.one("SELECT system FROM system WHERE url=?", url)

    def token(self, system: str, code: str) -> int | None:
        """Return the id of one token."""
        kind = self.system(system)
        return None if kind is None else self.one("SELECT value FROM token_value WHERE code=? AND system=?", code, kind)

    def units(self, system: str, code: str) -> list[int] | None:
        """Return the ids of stated units; None for any unit."""
        if not code and not system:
            return None
        if system and not code:
            return self.column("SELECT value FROM token_value WHERE system=?", self.system(system))
        if system:
            found = self.token(system, code)
            return [] if found is None else [found]
        not_canonical = self.system(CANONICAL_SYSTEM)
        return self.column(
            "SELECT value FROM token_value WHERE code=? AND system IS NOT ?",
            code,
            -1 if not_canonical is None else not_canonical,
        )

    def tokens(self, values: Sequence[TokenValue]) -> tuple[list[int], list[int]]:
        """Return the ids of token values, and the systems of which every code is meant and that have very many."""
        codes: dict[str | None, list[str]] = defaultdict(list)
        systems: list[str] = []
        for value in values:
            if value.code is None:
                systems.append(value.system or "")
            else:
                codes[value.system].append(value.code)
        ids = [id_ for system, wanted in codes.items() for id_ in self._coded(system, wanted)]
        listed, joined_ = self._systems(systems)
        return list(dict.fromkeys(ids + listed)), joined_

    def personal_tokens(self, values: Sequence[TokenValue]) -> tuple[list[int], list[int]]:
        """Return what `tokens` does, of values that name a person: hidden ones, and those from before they were."""
        blind = blind_of(self.connection)
        if blind is None:
            return self.tokens(values)
        ids, systems = self.tokens([value for value in values if not is_hidden(value.code)])
        hidden = [TokenValue(value.system, blind.hide(value.code)) for value in values if value.code]
        return list(dict.fromkeys((*ids, *self.tokens(hidden)[0]))), systems

    def _coded(self, system: str | None, codes: list[str]) -> list[int]:
        kind = None if system is None else self.system(system)
        if kind is None and system is not None:
            return []
        where = "" if system is None else f" AND system={kind}"
        if len(codes) == 1:
            return self.column(f"SELECT value FROM token_value WHERE code=?{where}", codes[0])
        array = apsw.carray(tuple(codes))
        return self.column(
            f"SELECT t.value FROM carray(?) k CROSS JOIN token_value t ON t.code=k.value{where}",
            array,
        )

    def _systems(self, urls: list[str]) -> tuple[list[int], list[int]]:
        ids: list[int] = []
        large: list[int] = []
        for system in (self.system(url) for url in urls):
            if system is None:
                continue
            found = self.column("SELECT value FROM token_value WHERE system=? LIMIT ?", system, MANY_VALUES + 1)
            if len(found) > MANY_VALUES:
                large.append(system)
            else:
                ids += found
        return ids, large
