"""A body that was lost or overwritten is told as damage; nothing is given out in its place."""

from pathlib import Path

import pytest

from fhir_server.search.query import EVERYTHING, Search
from fhir_server.storage.base import StorageDamaged
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
