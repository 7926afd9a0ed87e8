"""The ledger on a record, and what is found once somebody has changed the file behind the server's back."""

from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from fhir_server.audit.ledger import Head, Ledger, leaf_of
from fhir_server.audit.merkle import Growing, consistency, consistent, included, inclusion, leaf_hash
from fhir_server.audit.verify import verify
from fhir_server.settings import Settings
from fhir_server.storage.audit import AuditRow
from fhir_server.storage.base import StorageFault
from fhir_server.storage.sqlite.reader import Reader
from fhir_server.storage.sqlite.store import SqliteStore, open_store

ROWS = 700


def rows(number: int) -> list[AuditRow]:
    return [AuditRow(1_000 + at, f"agent {at % 3}", b"event %d" % at, ("k",)) for at in range(number)]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    made = await open_store(tmp_path, Settings(data_dir=tmp_path, durable=False))
    yield made
    await made.close()


@pytest.fixture
async def heads(store: SqliteStore) -> list[Head]:
    """Heads of 300 and of all rows."""
    ledger = Ledger(store, lambda: 5_000)
    made = []
    for number in (300, ROWS - 300):
        await store.audit.append(rows(number))
        made.append(await ledger.head())
    return made


def tamper(folder: Path, sql: str) -> None:
    connection = apsw.Connection(str(folder / "record.db"))
    connection.execute(sql)
    connection.close()


async def root(store: SqliteStore, size: int) -> bytes:
    tree = Growing()
    for entry in await store.audit.span(1, size):
        tree.add(leaf_hash(leaf_of(entry)))
    return tree.root


async def test_heads_are_signed_over_the_root_of_all_rows(store: SqliteStore, heads: list[Head]) -> None:
    assert [head.size for head in heads] == [300, ROWS]
    for head in heads:
        assert head.good()
        assert b64decode(head.root) == await root(store, head.size)
        assert not replace(head, size=head.size + 1).good()
        assert not replace(head, root=heads[0].signature).good()
    assert heads[0].key == heads[1].key
    assert await Ledger(store, lambda: 9_000).head() == heads[1]


async def test_proofs_from_kept_hashes_hold(store: SqliteStore, heads: list[Head]) -> None:
    ledger, size = Ledger(store, lambda: 5_000), ROWS
    for index in (0, 1, 255, 256, 511, 512, 699):
        entry = await store.audit.read(index + 1)
        assert entry is not None
        path = [await ledger.hash_of(span) for span in inclusion(index, size)]
        assert included(leaf_hash(leaf_of(entry)), index, size, path, b64decode(heads[1].root))
    proof = [await ledger.hash_of(span) for span in consistency(300, size)]
    assert consistent(300, size, (b64decode(heads[0].root), b64decode(heads[1].root)), proof)


async def test_a_large_log_has_kept_hashes_of_several_levels(store: SqliteStore) -> None:
    await store.audit.append(rows(66_000))
    head = await Ledger(store, lambda: 1).head()
    assert b64decode(head.root) == await root(store, 66_000)
    assert await store.records.get("audit.tiles", "16-0") is not None


async def test_a_sound_log_has_no_problems(store: SqliteStore, heads: list[Head]) -> None:
    await store.audit.append(rows(5))
    report = await verify(store, heads)
    assert (report.problems, report.rows, report.covered) == ([], ROWS + 5, ROWS)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE audit SET body=CAST('other' AS BLOB) WHERE seq=17", "signed: row 17"),
        ("UPDATE audit SET time=time+1 WHERE seq=17", "signed: row 17"),
        ("UPDATE audit SET agent=(agent % 3)+1 WHERE seq=301", "signed: row 301"),
        ("UPDATE audit_agent SET text='somebody else' WHERE agent=1", "signed: rows 1, 4, 7"),
        ("DELETE FROM audit WHERE seq=17", "row 17 is missing"),
        ("DELETE FROM audit WHERE seq BETWEEN 20 AND 22", "rows 20 to 22 are missing"),
        ("DELETE FROM audit WHERE seq>650", "rows 651 to 700 are missing"),
        ("DELETE FROM audit WHERE seq=600; UPDATE audit SET seq=seq-1 WHERE seq>600", "rows 700 to 700 are missing"),
        ("UPDATE audit SET body=CAST('other' AS BLOB) WHERE seq=699", "rows 301 to 700 are not all as they were"),
        ("UPDATE record SET value=replace(value, '\"size\":300', '\"size\":301')", "has a bad signature"),
    ],
)
async def test_tampering_is_found_and_named(
    store: SqliteStore, heads: list[Head], tmp_path: Path, sql: str, said: str
) -> None:
    tamper(tmp_path, sql)
    report = await verify(store)
    assert said in "; ".join(report.problems)


async def test_who_also_removes_heads_is_found_by_those_kept_outside(
    store: SqliteStore, heads: list[Head], tmp_path: Path
) -> None:
    tamper(tmp_path, "DELETE FROM audit WHERE seq>300; DELETE FROM record WHERE key='000000000000700'")
    assert (await verify(store)).problems == []
    report = await verify(store, heads)
    assert report.problems == ["rows 301 to 700 are missing: the head of 1970-01-01T00:00:05.000Z counts 700 rows"]


async def test_who_signs_anew_with_another_key_is_found(store: SqliteStore, heads: list[Head], tmp_path: Path) -> None:
    tamper(tmp_path, "UPDATE audit SET body=CAST('other' AS BLOB) WHERE seq=17; DELETE FROM record")
    await Ledger(store, lambda: 6_000).head()
    assert (await verify(store)).problems == []
    said = "; ".join((await verify(store, heads)).problems)
    assert "signed by another key" in said
    assert "rows 1 to 300 are not all as they were" in said


async def test_a_log_is_verified_without_the_server(store: SqliteStore, heads: list[Head], tmp_path: Path) -> None:
    reader = Reader(tmp_path, Settings(data_dir=tmp_path))
    assert (await verify(reader, heads)).problems == []
    with pytest.raises(StorageFault):
        await reader.audit.append(rows(1))
    reader.close()
