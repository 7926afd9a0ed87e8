"""From index entries to index rows: one loop for each kind, after one look-up of all that is not interned yet."""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final

import apsw

from fhir_server.search.entries import DateEntry, IndexEntries
from fhir_server.storage.sqlite import bulk
from fhir_server.storage.sqlite.composites import composite_row, quantity_columns, reference_version
from fhir_server.storage.sqlite.interning import Interning

Flat = list[Any]

WIDTHS: Final = {
    "token": 3, "string": 4, "date": 4, "several_dates": 2, "number": 4, "quantity": 8, "uri": 3, "ref": 4,
    "composite": 5, "position": 4, "contained": 4,
}  # fmt: skip
INDEX_TABLES: Final = tuple(table for table in WIDTHS if table != "contained")


class IndexRows:
    """Index rows of the versions of one group, gathered and then written table by table.

    `next_id` gives contained resources their ids, from the same sequence as pids: the two never meet in one table.
    """

    def __init__(self, interning: Interning, next_id: Callable[[], int]) -> None:
        self._intern, self._next_id = interning, next_id
        self._owners: list[tuple[str, int, IndexEntries, dict[str, int]]] = []
        self.tables: dict[str, Flat] = {table: [] for table in WIDTHS}

    def add(self, type_: str, rid: int, pid: int, entries: IndexEntries) -> None:
        """Take the entries of one version."""
        local = {"": rid}
        self._owners.append((type_, pid, entries, local))
        for inner_type, inner_id, inner in entries.contained:
            number = self._intern.type(inner_type)
            cid = self._cid(pid, number, inner_id)
            local[inner_id] = -cid
            self.tables["contained"] += (cid, pid, number, inner_id)
            self._owners.append(("#" + inner_type, cid, inner, local))

    def write(self, connection: apsw.Connection) -> None:
        """Write what was taken."""
        self._learn()
        for type_, owner, entries, local in self._owners:
            self._rows(type_, owner, entries, local)
        for table, flat in self.tables.items():
            self._put(connection, table, flat)
            flat.clear()
        self._owners.clear()

    def _cid(self, pid: int, type_: int, inner_id: str) -> int:
        return self._next_id()

    def _put(self, connection: apsw.Connection, table: str, flat: Flat) -> None:
        bulk.insert_or_ignore(connection, table, WIDTHS[table], flat)

    def _learn(self) -> None:
        self._learn_tokens()
        wanted = {entry[1:3] for _, _, entries, _ in self._owners for entry in entries.references}
        self._intern.find_rids(
            (type_, id_) for type_, id_ in wanted - self._intern.rids.keys() if type_ and id_ and type_ != "#"
        )

    def _learn_tokens(self) -> None:
        intern = self._intern
        unknown = [
            (type_, entry, (intern.shown(entry), intern.system(entry[1]))) for type_, entry in self._unknown_tokens()
        ]
        intern.fill_values(key for key in {key for *_, key in unknown} if key not in intern.values)
        for type_, entry, key in unknown:
            value = intern.values[key]
            intern.tokens[type_][entry] = (intern.param(type_, entry[0]), value)

    def _unknown_tokens(self) -> Iterator[tuple[str, Any]]:
        for type_, _, entries, _ in self._owners:
            memo = self._intern.tokens.setdefault(type_, {})
            for entry in entries.tokens:
                if entry not in memo:
                    yield type_, entry

    def _rows(self, type_: str, owner: int, entries: IndexEntries, local: dict[str, int]) -> None:
        memo = self._intern.tokens[type_]
        self.tables["token"] += chain.from_iterable([(*memo[entry], owner) for entry in entries.tokens])
        if entries.references:
            self._references(type_, owner, entries, local)
        if entries.dates:
            self._plain("date", type_, owner, entries.dates)
            if len(entries.dates) > 1:
                self._several_dates(type_, owner, entries.dates)
        if entries.strings:
            self._plain("string", type_, owner, entries.strings)
        if entries.quantities:
            self._quantities(type_, owner, entries)
        if entries.uris or entries.numbers or entries.positions or entries.composites:
            self._rare(type_, owner, entries)

    def _plain(self, table: str, type_: str, owner: int, rows: list[Any]) -> None:
        params, flat = self._intern.codes(type_), self.tables[table]
        for code, low, high in rows:
            flat += (params[code], low, owner, high)

    def _several_dates(self, type_: str, owner: int, rows: list[DateEntry]) -> None:
        codes, params = [row[0] for row in rows], self._intern.codes(type_)
        for code in {code for code in codes if codes.count(code) > 1}:
            self.tables["several_dates"] += (params[code], owner)

    def _references(self, type_: str, owner: int, entries: IndexEntries, local: dict[str, int]) -> None:
        intern, refs, uris = self._intern, self.tables["ref"], self.tables["uri"]
        params, rids = intern.ref_codes(type_), intern.rids
        for code, target_type, target_id, url, version in entries.references:
            param = params[code]
            if target_type == "#":
                target = local.get(target_id or "", 0)
            elif target_type and target_id:
                target = rids.get((target_type, target_id)) or intern.resource(target_type, target_id)
            else:
                target = 0
            if target:
                refs += (param, target, owner, reference_version(version) if version else 0)
            if url:
                uris += (param, intern.uri(url), owner)
                if version:  # a canonical of one version; a search without a version finds it under the plain code
                    uris += (intern.param(type_, f"{code}:version"), intern.uri(f"{url}|{version}"), owner)

    def _quantities(self, type_: str, owner: int, entries: IndexEntries) -> None:
        intern, flat = self._intern, self.tables["quantity"]
        params = intern.codes(type_)
        for code, low, high, system, unit, canonical in entries.quantities:
            row = quantity_columns((low, high, system, unit), canonical, intern)
            flat += (params[code], row[0], row[1], owner, *row[2:])

    def _rare(self, type_: str, owner: int, entries: IndexEntries) -> None:
        intern, params = self._intern, self._intern.codes(type_)
        for code, url in entries.uris:
            self.tables["uri"] += (params[code], intern.uri(url), owner)
        for code, low, high in entries.numbers:
            self.tables["number"] += (params[code], low, owner, high)
        for code, latitude, longitude in entries.positions:
            self.tables["position"] += (params[code], latitude, longitude, owner)
        for entry in entries.composites:
            first, second, rest = composite_row(entry, intern)
            self.tables["composite"] += (params[entry[0]], first, second, owner, rest)
