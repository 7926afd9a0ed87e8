"""Interned values: the small integers that stand for types, parameters, tokens, URIs and resources in index rows.

Interned rows are never changed, so the memos stay valid across processes; only `purge` removes some, and then raises
the store's `epoch`, at which every process forgets its memos.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from typing import Any, Final

import apsw

from fhir_server.search.entries import TokenEntry
from fhir_server.storage.sqlite import bulk
from fhir_server.storage.sqlite.blind import is_personal
from fhir_server.storage.sqlite.bodies import Bodies
from fhir_server.storage.sqlite.connection import fetch

MEMO: Final = 65_536  # entries of each memo; the older half goes when it is exceeded

Key = tuple[str, str]


class Interning:
    """The ids of one record as its writer knows them, in memos that are filled from SQLite.

    tokens: by resource type (or '#Type'), index entry -> (param, value). values: (code, system id) -> value.
    rids: (type, id) -> rid. `stubs` are resources that this group refers to or writes for the first time; their rows
    are written with the group, so that a resource is inserted once, with its version.
    """

    def __init__(self, connection: apsw.Connection, bodies: Bodies | None = None) -> None:
        self._connection, self._bodies = connection, bodies
        self.types: dict[str, int] = {}
        self.params: dict[Key, int] = {}
        self._codes: dict[str, _Found] = {}
        self._ref_codes: dict[str, _Found] = {}
        self.systems: dict[str, int] = {"": 0}
        self.tokens: dict[str, dict[TokenEntry, tuple[int, int]]] = {}
        self.values: dict[tuple[str, int], int] = {}
        self.uris: dict[str, int] = {}
        self.rids: dict[Key, int] = {}
        self.stubs: dict[int, list[Any]] = {}
        self._next_rid = 0

    def begin(self) -> None:
        """Start a group: bound the memos and find the next free resource id."""
        memos: tuple[dict[Any, int], ...] = (self.values, self.uris, self.rids, self.params, self.systems)
        for memo in memos:
            _bound(memo)
        nested: tuple[dict[str, Any], ...] = (self.tokens, self._codes, self._ref_codes)
        for inner in (inner for each in nested for inner in each.values()):
            _bound(inner)
        self.systems[""] = 0
        self._next_rid = 1 + self._max("rid", "resource")

    def forget(self) -> None:
        """Drop all memos: ids made in a transaction that was rolled back do not exist."""
        memos = (
            self.types, self.params, self._codes, self._ref_codes, self.systems, self.tokens, self.values, self.uris,
            self.rids, self.stubs,
        )  # fmt: skip
        for memo in memos:
            memo.clear()
        self.systems[""] = 0

    def type(self, name: str) -> int:
        """Return the id of a resource type."""
        return self.types.get(name) or self._one(self.types, name, "type", "type", "name")

    def system(self, url: str | None) -> int:
        """Return the id of a code system; 0 for none."""
        found = self.systems.get(url or "")
        return self._one(self.systems, url or "", "system", "system", "url") if found is None else found

    def param(self, type_: str, code: str) -> int:
        """Return the id of a search parameter of a type."""
        found = self.params.get((type_, code))
        if found is not None:
            return found
        for row in fetch(self._connection, "SELECT param FROM param WHERE type=? AND code=?", (type_, code)):
            return self.params.setdefault((type_, code), row[0])
        new = 1 + self._max("param", "param")
        self._connection.execute("INSERT INTO param VALUES(?,?,?)", (new, type_, code))
        return self.params.setdefault((type_, code), new)

    def codes(self, type_: str) -> Mapping[str, int]:
        """Return the ids of the search parameters of a type, by their codes; one that is new is made when asked for."""
        return self._codes.get(type_) or self._codes.setdefault(type_, _Found(partial(self.param, type_)))

    def ref_codes(self, type_: str) -> Mapping[str, int]:
        """Return the ids of search parameters that are about to have rows in `ref`."""
        return self._ref_codes.get(type_) or self._ref_codes.setdefault(type_, _Found(partial(self._ref_param, type_)))

    def _ref_param(self, type_: str, code: str) -> int:
        found = self.param(type_, code)
        self._connection.execute("INSERT OR IGNORE INTO ref_param VALUES(?)", (found,))
        return found

    def token(self, system: str | None, code: str) -> int:
        """Return the `token_value` of (system, code)."""
        key = (code, self.system(system))
        found = self.values.get(key)
        if found is None:
            self.fill_values((key,))
            found = self.values[key]
        return found

    def shown(self, entry: TokenEntry) -> str:
        """Return how the value of an entry stands in the index: hidden, where it names a person."""
        if self._bodies is None or not self._bodies.sealing or not is_personal(entry[0]):
            return entry[2]
        blind = self._bodies.blind()
        return entry[2] if blind is None else blind.hide(entry[2])

    def uri(self, url: str) -> int:
        """Return the `uri_value` of a URL."""
        return self.uris.get(url) or self._one(self.uris, url, "uri_value", "value", "uri")

    def resource(self, type_: str, id_: str) -> int:
        """Return the rid of a resource, which need not exist."""
        key = (type_, id_)
        if key not in self.rids:
            self.find_rids((key,))
        return self.rids.get(key) or self.stub(key)

    def stub(self, key: Key) -> int:
        """Give a new resource its rid; its row is written with the group."""
        rid = self.rids[key] = self._next_rid
        self._next_rid += 1
        self.stubs[rid] = [rid, self.type(key[0]), key[1], None]
        return rid

    def find_rids(self, keys: Iterable[Key]) -> None:
        """Learn the rids of those resources that have one."""
        flat = [part for type_, id_ in keys for part in (self.type(type_), id_)]
        names = {number: name for name, number in self.types.items()}
        joins = "CROSS JOIN resource r ON r.type=k.column1 AND r.id=k.column2"
        for type_, id_, rid in bulk.select(self._connection, "r.type,r.id,r.rid", joins, flat, 2):
            self.rids[names[type_], id_] = rid

    def fill_values(self, keys: Iterable[tuple[str, int]]) -> None:
        """Learn or make the `token_value` ids of (code, system id)."""
        wanted = dict.fromkeys(keys)
        joins = "CROSS JOIN token_value t ON t.code=k.column1 AND t.system=k.column2"
        flat = [part for key in wanted for part in key]
        for code, system, value in bulk.select(self._connection, "t.code,t.system,t.value", joins, flat, 2):
            self.values[code, system] = value
            del wanted[code, system]
        self._make_values(list(wanted))

    def _make_values(self, keys: list[tuple[str, int]]) -> None:
        if not keys:
            return
        first = 1 + self._max("value", "token_value")
        rows = [part for value, (code, system) in enumerate(keys, first) for part in (value, code, system)]
        bulk.insert(self._connection, "INSERT INTO token_value", 3, rows)
        self.values.update(zip(keys, range(first, first + len(keys)), strict=True))

    def _one(self, memo: dict[str, int], text: str, table: str, column: str, named: str) -> int:
        for row in fetch(self._connection, f"SELECT {column} FROM {table} WHERE {named}=?", (text,)):
            return memo.setdefault(text, row[0])
        new = 1 + self._max(column, table)
        self._connection.execute(f"INSERT INTO {table}({column},{named}) VALUES(?,?)", (new, text))
        return memo.setdefault(text, new)

    def _max(self, column: str, table: str) -> int:
        row = fetch(self._connection, f"SELECT max({column}) FROM {table}")[0]
        return int(row[0] or 0)


class _Found(dict[str, int]):
    """Remembers what `find` returned for a text."""

    def __init__(self, find: Callable[[str], int]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, text: str) -> int:
        found = self[text] = self._find(text)
        return found


def _bound(memo: dict[Any, Any]) -> None:
    if len(memo) > MEMO:
        for key in list(islice(memo, len(memo) // 2)):
            del memo[key]
