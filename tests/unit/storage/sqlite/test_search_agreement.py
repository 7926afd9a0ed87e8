"""The SQLite engine answers every search as the reference engine does, whichever plan it takes."""

from dataclasses import replace
from pathlib import Path

import pytest

from fhir_server.search.query import Contained, Search
from fhir_server.settings import Settings
from fhir_server.storage.base import Page, Store
from fhir_server.storage.memory import MemoryStore
from fhir_server.storage.sqlite import compile_ranges, compile_scope, compile_strings, plan, plan_count
from fhir_server.storage.sqlite.store import open_store
from tests.unit.storage.sqlite.kit import Clock
from tests.unit.storage.sqlite.search_dice import START, Dice

SEARCHES = 60


def narrow(monkeypatch: pytest.MonkeyPatch, dice: Dice) -> None:
    """Set the planner's bounds so low that a few rows bring it to its dearest plans."""
    for module in (plan, plan_count, compile_scope):
        monkeypatch.setattr(module, "PROBE", dice.pick(1, 3, 256))
    for name in ("GLANCE", "MIDDLE", "WALK", "DEEP"):
        monkeypatch.setattr(plan, name, dice.pick(1, 2, 5, 4096))
    monkeypatch.setattr(plan_count, "SAMPLE", dice.pick(1, 1000))
    monkeypatch.setattr(compile_strings, "MANY_ROWS", dice.pick(1, 5000))
    monkeypatch.setattr(compile_strings, "FEW_TEXTS", dice.pick(3, 2000))
    monkeypatch.setattr(compile_strings, "MANY_VALUES", dice.pick(0, 20))
    monkeypatch.setattr(compile_ranges, "_MANY", dice.pick(0, 20))


def told(page: Page, search: Search) -> tuple[object, ...]:
    """What a client sees of a page; pids differ between engines, and a place among contained ones is the engine's."""
    values = () if page.next is None or search.contained is not Contained.FALSE else page.next.values
    return (
        [(version.key, version.version) for version in page.versions],
        [version.key for version in page.included],
        page.containers if search.contained is not Contained.FALSE else (),
        page.notes,
        page.next is None,
        values,
    )


@pytest.mark.parametrize("seed", range(12))
async def test_every_search_agrees_with_the_reference_engine(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice, clock = Dice(seed), Clock(START)
    settings = Settings(durable=False, max_includes=dice.pick(2, 10_000), max_iterations=dice.pick(1, 8))
    if seed:
        narrow(monkeypatch, dice)
    stores = MemoryStore(settings, clock), await open_store(tmp_path, settings, clock)
    for _ in range(30):
        await write(stores, dice, clock)
    for _ in range(SEARCHES):
        await compare(stores, dice, clock, dice.search())
    await stores[1].close()


async def write(stores: tuple[Store, Store], dice: Dice, clock: Clock) -> None:
    """Commit the same to both."""
    changes = list({change.key: change for change in (dice.change() for _ in range(dice.pick(1, 2, 4)))}.values())
    for store in stores:
        await store.commit(changes)
    clock.now += dice.pick(0, 1, 5)


async def compare(stores: tuple[Store, Store], dice: Dice, clock: Clock, search: Search) -> None:
    """Compare the pages of a search while others write, then the counts."""
    asked = [search, search]
    for _ in range(5):
        pages = [await store.search(each) for store, each in zip(stores, asked, strict=True)]
        assert told(pages[1], search) == told(pages[0], search), search
        if pages[1].total is not None and pages[0].total is not None and not pages[1].estimated:
            assert pages[1].total == pages[0].total, search
        if pages[0].next is None:
            break
        asked = [replace(each, after=page.next) for each, page in zip(asked, pages, strict=True)]
        if dice.chance(0.2):
            await write(stores, dice, clock)
    assert await stores[1].count(search) == await stores[0].count(search), search
