"""An index made anew is the one that writing makes, row by row, whatever stopped it and whoever else did it too."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from fhir_server.search.entries import IndexEntries
from fhir_server.settings import Settings
from fhir_server.storage.sqlite import rebuilding, upkeep
from fhir_server.storage.sqlite.backup import backup, restore
from fhir_server.storage.sqlite.bare_copy import MISSING
from fhir_server.storage.sqlite.connection import connect, fetch
from fhir_server.storage.sqlite.differences import COLUMNS
from fhir_server.storage.sqlite.store import SqliteStore, open_store
from tests.conformance.storage.library import LIBRARY
from tests.conformance.storage.test_search_table import TABLE, Expander
from tests.conformance.storage.world import Clock, World, change, extract
from tests.unit.encryption.kit import ready
from tests.unit.storage.sqlite.kit import FAST, delete, put, rows
from tests.unit.storage.sqlite.search_dice import Dice

Extract = Callable[[str, bytes], IndexEntries]
Rows = dict[str, list[tuple[Any, ...]]]


def nothing(done: int, of: int) -> None:
    """Nobody wants to know."""


def index_of(folder: Path, settings: Settings) -> Rows:
    """All rows of the index; contained resources by what they are, as their ids are given anew."""
    with closing(connect(folder / "record.db", settings, writer=False)) as connection:
        found = {table: fetch(connection, f"SELECT {columns} FROM {table}") for table, columns in COLUMNS.items()}
    names: dict[int, Any] = {row[0]: row[1:] for row in found["contained"]}
    assert len(set(names.values())) == len(names)
    found["contained"] = [(0, *row[1:]) for row in found["contained"]]
    found["ref"] = [(param, names.get(-target, target), *rest) for param, target, *rest in found["ref"]]
    for table, columns in COLUMNS.items():
        owner = columns.split(",").index("pid")
        found[table] = [(*row[:owner], names.get(row[owner], row[owner]), *row[owner + 1 :]) for row in found[table]]
    return {table: sorted(rows, key=repr) for table, rows in found.items()}


def without_index(folder: Path, settings: Settings) -> None:
    """Take the index away, as in a restored record, but for the values that rows name by their number."""
    with closing(connect(folder / "record.db", settings, writer=True)) as connection:
        for table in COLUMNS:
            connection.execute(f"DELETE FROM {table}")
        connection.execute("INSERT INTO meta VALUES('index', ?)", (MISSING,))


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a few resources come to several slices, sortings and transactions."""
    monkeypatch.setattr(rebuilding, "SLICE", 5)
    monkeypatch.setattr(rebuilding, "SORTED", 40)
    monkeypatch.setattr(rebuilding, "COMMITTED", 15)
    monkeypatch.setattr(rebuilding, "AHEAD", 2)
    monkeypatch.setattr(upkeep, "SLICE", 5)


class Written:
    """A store of random resources, whose entries are known by their bodies."""

    def __init__(self, settings: Settings, folder: Path, seed: int = 0) -> None:
        self.settings, self.folder, self.dice = settings, folder, Dice(seed)
        self.entries: dict[bytes, IndexEntries] = {}

    def extract(self, type_: str, body: bytes) -> IndexEntries:
        return self.entries[body]

    async def write(self, store: SqliteStore, commits: int = 40) -> None:
        for _ in range(commits):
            changes = list({each.key: each for each in (self.dice.change() for _ in range(3))}.values())
            self.entries |= {each.body.data: each.entries for each in changes if each.body is not None}
            await store.commit(changes)

    async def opened(self, extract: Extract | None = None) -> SqliteStore:
        return await open_store(self.folder, self.settings, None, extract)

    async def indexed(self) -> Rows:
        """Write, and return the index, with nothing in it that only page links ask for."""
        store = await self.opened()
        await self.write(store)
        await store.close()
        with closing(connect(self.folder / "record.db", self.settings, writer=True)) as connection:
            upkeep.begin_sweep(connection, 1 << 60)
            while upkeep.sweep_slice(connection):
                pass
        return index_of(self.folder, self.settings)


@pytest.fixture(params=["plain", "encrypted"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """The settings of a store that is plain, or encrypted with each resource under the key of its patient."""
    plain = FAST.model_copy(update={"data_dir": tmp_path / "data"})
    return plain if request.param == "plain" else ready(tmp_path / "data")[0]


def folder_of(settings: Settings) -> Path:
    return settings.data_dir / "tenants" / "default"


async def test_an_index_made_anew_is_what_writing_made_row_by_row(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    written = Written(settings, folder_of(settings))
    before = await written.indexed()
    assert all(before.values()), [table for table, found in before.items() if not found]
    without_index(written.folder, settings)
    store = await written.opened(written.extract)
    assert await store.check() == []
    await store.close()
    assert index_of(written.folder, settings) == before
    with closing(connect(written.folder / "record.db", settings, writer=False)) as connection:
        assert fetch(connection, "SELECT key FROM meta WHERE key IN ('index', 'reindex')") == []


async def test_the_table_of_searches_holds_after_the_index_of_a_backup_was_made(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    folder = folder_of(settings)
    clock = Clock()
    store = await open_store(folder, settings, clock, extract)
    await store.commit([change({**resource, "language": "de"}) for resource in LIBRARY[:8]])
    for start in range(0, len(LIBRARY), 7):
        await store.commit([change(resource) for resource in LIBRARY[start : start + 7]])
    await store.close()
    if settings.encryption == "on":
        backup(folder, tmp_path / "backup", settings, nothing, tmp_path / "keys")
        folder.rename(tmp_path / "gone")
        restore(tmp_path / "backup", folder)
    else:
        without_index(folder, settings)
    world = World(await open_store(folder, settings, clock, extract), clock, settings, expander=Expander())
    found = {url: await world.found(url) for table in TABLE.values() for url, _ in table}
    await world.store.close()
    assert found == {url: set(expected.split()) for table in TABLE.values() for url, expected in table}


async def test_what_was_stopped_anywhere_goes_on_where_it_came_to(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    written = Written(settings, folder_of(settings), seed=1)
    before = await written.indexed()
    without_index(written.folder, settings)
    asked, stops = count(1), iter((3, 11, 18, 18, 40, 1 << 60))
    limit = next(stops)

    def extract_some(type_: str, body: bytes) -> IndexEntries:
        if next(asked) > limit:
            raise RuntimeError("stopped")
        return written.extract(type_, body)

    while True:
        try:
            await (await written.opened(extract_some)).close()
            break
        except RuntimeError:
            asked, limit = count(1), next(stops)
    assert index_of(written.folder, settings) == before


async def test_two_who_make_it_at_once_make_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    written = Written(FAST, tmp_path, seed=2)
    before = await written.indexed()
    without_index(tmp_path, FAST)
    stores = await asyncio.gather(*(written.opened(written.extract) for _ in range(3)))
    for store in stores:
        await store.close()
    assert index_of(tmp_path, FAST) == before


async def test_whoever_is_cancelled_leaves_a_store_that_can_be_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    written = Written(FAST, tmp_path, seed=3)
    before = await written.indexed()
    without_index(tmp_path, FAST)
    loop, calls = asyncio.get_running_loop(), count(1)

    def extract_and_leave(type_: str, body: bytes) -> IndexEntries:
        if next(calls) == 8:
            loop.call_soon_threadsafe(opening.cancel)
        return written.extract(type_, body)

    opening = asyncio.create_task(written.opened(extract_and_leave))
    with pytest.raises(asyncio.CancelledError):
        await opening
    await (await written.opened(written.extract)).close()
    assert index_of(tmp_path, FAST) == before


async def test_reindex_brings_any_index_to_what_writing_would_make(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the rows of other entries, and of none, to those of these; a second run changes nothing."""
    small(monkeypatch)
    written, other = Written(settings, folder_of(settings), seed=4), Dice(5)
    before = await written.indexed()
    store = await written.opened()
    anything: dict[bytes, IndexEntries] = {}
    await store.reindex([], lambda type_, body: anything.setdefault(body, other.entries()), nothing)
    assert index_of(written.folder, settings) != before
    current = await store.reindex([], written.extract, nothing)
    assert index_of(written.folder, settings) == before
    await store.reindex(["Patient", "Encounter"], lambda type_, body: IndexEntries(), nothing)
    await store.reindex(["Patient", "Encounter"], written.extract, nothing)
    assert index_of(written.folder, settings) == before
    assert await store.reindex([], written.extract, nothing) == current
    await store.close()
    assert index_of(written.folder, settings) == before


async def test_reindex_writes_nothing_of_what_is_there(tmp_path: Path) -> None:
    written = Written(FAST, tmp_path, seed=6)
    await written.indexed()
    store = await written.opened()
    changes = rows_changed(store)
    await store.reindex([], written.extract, nothing)
    assert rows_changed(store) - changes < 10  # how far it came, and that it came to the end
    await store.close()


def rows_changed(store: SqliteStore) -> int:
    """How many rows the writer of a store has changed."""
    return int(store._writer._connection.total_changes())


async def test_what_is_superseded_after_it_was_read_gets_no_rows(tmp_path: Path) -> None:
    entries = IndexEntries(tokens=[("gender", None, "male")])
    store = await open_store(tmp_path, FAST)
    await store.commit([put(f"Patient/{number}") for number in range(10)])
    read = partial(upkeep.reindex_read, types=(), after=0, extract=lambda type_, body: entries, most=10)
    made = await store._read(read)
    await store.commit([put("Patient/7", "newer"), delete("Patient/8")])
    await store._writer.submit(
        lambda connection: upkeep.reindex_write(
            connection, store._writer.interning, made, upkeep.reindex_marker((), 10, 10)
        )
    )
    await store.close()
    assert len(made) == 10
    assert rows(tmp_path, "SELECT pid FROM token ORDER BY pid") == [(1,), (2,), (3,), (4,), (5,), (6,), (7,), (10,)]
