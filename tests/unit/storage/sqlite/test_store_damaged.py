"""A body that was lost or overwritten is told as damage; nothing is given out in its place."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fhir_server.search.query import EVERYTHING, Search
from fhir_server.storage.base import StorageDamaged, StorageFault
from tests.unit.storage.sqlite.kit import key, opened, put


@pytest.mark.parametrize("how", ["DELETE FROM body", "UPDATE body SET data=x'22227d'", "UPDATE body SET data=x''"])
async def test_a_body_that_is_not_what_was_written_is_not_given_out(tmp_path: Path, how: str) -> None:
    async with opened(tmp_path) as store:
        await store.commit([put("Patient/a")])
        await store._writer.submit(lambda connection: connection.execute(how).fetchall())
    async with opened(tmp_path) as store:
        with pytest.raises(StorageDamaged, match="Patient/a/_history/1"):
            await store.read(key("Patient/a"))
        with pytest.raises(StorageDamaged):
            await store.search(Search({"Patient": EVERYTHING}))


@pytest.mark.parametrize("how", [Path.unlink, lambda path: os.truncate(path, 0)], ids=["gone", "empty"])
async def test_no_empty_record_takes_the_place_of_one_that_was_lost(
    tmp_path: Path, how: Callable[[Path], None]
) -> None:
    async with opened(tmp_path) as store:
        await store.commit([put("Patient/a")])
    for companion in tmp_path.glob("record.db-*"):
        companion.unlink()
    how(tmp_path / "record.db")
    with pytest.raises(StorageFault, match=r"record\.db is empty, but .* beside it are of a record"):
        async with opened(tmp_path):
            pass


async def test_what_is_kept_is_readable_for_its_owner_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.commit([put("Patient/a")])
        found = {each.name: each.stat().st_mode & 0o777 for each in tmp_path.iterdir()}
    assert {mode & 0o077 for mode in found.values()} == {0}, found
