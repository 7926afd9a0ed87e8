"""The registers of erasures of several nodes hold the same."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from fhir_server.privacy.nodes import agree, note_others, note_tenants
from fhir_server.privacy.register import ERASURES
from fhir_server.settings import Settings
from fhir_server.storage.base import RecordChange, Store
from fhir_server.storage.memory import MemoryProvider
from fhir_server.tenancy.erasures import note, open_register


@pytest.fixture
async def home() -> Store:
    return await MemoryProvider(Settings(), lambda: 1_800_000_000_000).open("default")


async def _erased(store: Store, id_: str, time: int, path: Path | None = None) -> None:
    line: dict[str, Any] = {"subject": f"hash of {id_}", "time": time, "counts": {}, "id": id_}
    if path is not None:
        note(path, line)
    await store.declare(ERASURES)
    await store.commit((), (RecordChange(ERASURES.name, id_, {**line, "by": "somebody"}),))


async def test_an_erasure_of_one_node_stands_once_in_the_registers_of_all(home: Store, tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    assert await agree(home, a) and await agree(home, b)
    assert open_register(a).salt == open_register(b).salt
    await _erased(home, "one", 1, a)
    await _erased(home, "two", 2, b)
    assert [await note_others(home, each, 0) for each in (a, b, a)] == [2, 2, 2]
    await _erased(home, "three", 2, b)
    await note_others(home, a, 2)
    for path in (a, b):
        assert {"hash of one", "hash of two", "hash of three"} == open_register(path).subjects
    assert len(a.read_text().splitlines()) == 4
    note_tenants(["north"], a, 5)
    note_tenants(["north"], a, 6)
    assert len(a.read_text().splitlines()) == 5
    assert "by" not in json.loads(a.read_text().splitlines()[1]), "the register names nobody"


async def test_an_erasure_that_is_stored_after_a_newer_one_is_noted_too(home: Store, tmp_path: Path) -> None:
    assert await agree(home, tmp_path / "a")
    await _erased(home, "of a clock that is ahead", 90_000)
    since = await note_others(home, tmp_path / "a", 0)
    await _erased(home, "late", 85_000)
    assert await note_others(home, tmp_path / "a", since) == 90_000
    assert open_register(tmp_path / "a").subjects == {"hash of of a clock that is ahead", "hash of late"}


async def test_nodes_that_begin_at_the_same_time_have_one_salt(home: Store, tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(5)]
    assert all(await asyncio.gather(*(agree(home, path) for path in paths)))
    assert len({open_register(path).salt for path in paths}) == 1


async def test_a_register_that_was_there_before_there_were_nodes_goes_on(home: Store, tmp_path: Path) -> None:
    salt = open_register(tmp_path / "old").salt
    assert await agree(home, tmp_path / "old") and await agree(home, tmp_path / "new")
    assert open_register(tmp_path / "new").salt == salt


async def test_a_register_of_another_installation_is_left_alone(
    home: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert await agree(home, tmp_path / "a")
    open_register(tmp_path / "foreign")
    with caplog.at_level(logging.ERROR):
        assert not await agree(home, tmp_path / "foreign")
    assert "another installation" in caplog.text
