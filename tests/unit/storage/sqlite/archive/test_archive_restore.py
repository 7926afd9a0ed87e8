"""A restore from an archive is exactly what was committed up to an instant: resources, records, audit, blobs, index."""

import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from fhir_server.search.query import Search, Token, TokenValue
from fhir_server.storage.base import BackupRefused, BlobChange, Collection, RecordChange, RecordField
from fhir_server.storage.sqlite.archive import catalog
from fhir_server.storage.sqlite.archive.catalog import Until
from fhir_server.storage.sqlite.archive.pruning import prune
from fhir_server.storage.sqlite.archive.verify import verify
from fhir_server.storage.sqlite.store import SqliteStore
from tests.conformance.storage.world import change, delete, observation, patient
from tests.unit.storage.sqlite.archive.kit import Place, place
from tests.unit.storage.sqlite.kit import key, rows
from tests.unit.storage.sqlite.test_store_crash import killed, start, whole

LEDGER = Collection("ledger", (RecordField("amount", "integer"),))


async def chunks(text: bytes) -> AsyncIterator[bytes]:
    yield text


async def log(store: SqliteStore) -> list[tuple[int, str, int, bytes]]:
    return [(each.txid, str(each.key), each.version, each.body.data) for each in await store.changes(0, 10_000)]


async def based(at: Place, store: SqliteStore) -> None:
    """A patient, and a base backup with it."""
    await store.declare(LEDGER)
    await store.commit([change(patient("a", active=True))])
    assert at.shipper().round().needs_base
    at.base()
    at.clock.now += 1000


async def test_resources_records_and_blobs_come_back_as_of_an_instant_between_two_commits(tmp_path: Path) -> None:
    at = place(tmp_path)
    async with at.opened() as store:
        await based(at, store)
        ref = await store.blobs.stage(chunks(b"scan"))
        record = RecordChange("ledger", "x", {"amount": 1})
        await store.commit([change(patient("a", gender="male"))], [record], [BlobChange(ref.id, attach=True)])
        between = at.clock.now
        shipper = at.shipper()
        shipped = shipper.round()
        assert (shipped.needs_base, shipped.waiting) == ("", 0)
        at.clock.now += 1000
        later = await store.blobs.stage(chunks(b"later"))
        record = RecordChange("ledger", "x", {"amount": 2})
        await store.commit([change(patient("b"))], [record], [BlobChange(later.id, attach=True)])
        await store.commit([delete("Patient", "a")], [], [BlobChange(ref.id, attach=False)])
        shipper.round()
        newest = await log(store)
    async with at.restored("between", Until(time=between)) as store:
        version = await store.read(key("Patient/a"))
        assert version is not None and version.version == 2
        assert await store.read(key("Patient/b")) is None
        found = await store.records.get("ledger", "x")
        assert found is not None and found.value == {"amount": 1}
        assert b"".join([chunk async for chunk in await store.blobs.open(ref.id)]) == b"scan"
        assert await store.blobs.stat(later.id) is None
        males = await store.search(Search({"Patient": Token("gender", (TokenValue(None, "male"),))}))
        assert [str(each.key) for each in males.versions] == ["Patient/a"]
    async with at.restored("newest") as store:
        assert await log(store) == newest
        assert await store.statistics() == {"Patient": 1}
        assert b"".join([chunk async for chunk in await store.blobs.open(later.id)]) == b"later"
        assert (await store.commit([change(patient("c"))])).txid == newest[-1][0] + 1
    async with at.restored("third", Until(txid=3)) as store:
        assert await log(store) == [row for row in newest if row[0] <= 3]
    with pytest.raises(BackupRefused, match="the oldest that can be restored is of"):
        at.restore("before", Until(time=at.clock.now - 10_000))
    assert verify(at.kept) == []


async def test_random_commits_come_back_txid_by_txid_with_their_index(tmp_path: Path) -> None:
    dice, at = random.Random(3), place(tmp_path)
    async with at.opened() as store:
        await based(at, store)
        shipper = at.shipper()
        for number in range(60):
            at.clock.now += dice.randrange(20)
            names = dice.sample(range(12), dice.randrange(1, 4))
            changes = [
                delete("Observation", f"o{name}") if dice.random() < 0.2 else
                change(observation(f"o{name}", status=dice.choice(("final", "amended")), valueString=str(number)))
                for name in names
            ]  # fmt: skip
            await store.commit(changes, [RecordChange("ledger", str(dice.randrange(4)), {"amount": number})])
            if number == 30:
                await store.purge(key("Observation/o1"), history_only=False)
            if dice.random() < 0.3:
                shipper.round()
        shipper.round()
        newest = await log(store)
        wanted = {}
        for status in ("final", "amended"):
            page = await store.search(Search({"Observation": Token("status", (TokenValue(None, status),))}, count=50))
            wanted[status] = {(str(each.key), each.version) for each in page.versions}
    for txid in (2, 17, 31, 32, 45):
        async with at.restored(f"at-{txid}", Until(txid=txid)) as store:
            assert await store.last_txid() <= txid
            kept = [row for row in await log(store) if row[1] != "Observation/o1"]
            assert kept == [row for row in newest if row[0] <= txid and row[1] != "Observation/o1"]
    async with at.restored("newest") as store:
        assert await log(store) == newest
        for status, expected in wanted.items():
            page = await store.search(Search({"Observation": Token("status", (TokenValue(None, status),))}, count=50))
            assert {(str(each.key), each.version) for each in page.versions} == expected


async def test_a_segment_that_is_damaged_missing_or_in_another_place_is_refused_by_its_name(tmp_path: Path) -> None:
    at = place(tmp_path)
    async with at.opened() as store:
        await based(at, store)
        shipper = at.shipper()
        for number in range(4):
            await store.commit([change(patient(f"p{number}"))])
            shipper.round()
    one, two, three = at.segments()[-3:]
    kept = two.read_bytes()
    damaged = bytearray(kept)
    damaged[-40] ^= 1
    two.write_bytes(damaged)
    with pytest.raises(BackupRefused, match=f"{two.name} is damaged"):
        at.restore("damaged")
    assert not at.folder("damaged").exists()
    assert any(two.name in problem for problem in verify(at.kept))
    two.write_bytes(one.read_bytes())
    with pytest.raises(BackupRefused, match=f"{two.name} holds entries .* place of another"):
        at.restore("moved")
    two.unlink()
    with pytest.raises(BackupRefused, match=f"lacks entries .* before {three.name}: restore to"):
        at.restore("missing")
    assert any("lacks entries" in problem for problem in verify(at.kept))
    two.write_bytes(kept)
    assert at.restore("whole").txid == 5


async def test_a_gap_is_noticed_and_healed_by_a_new_base(tmp_path: Path) -> None:
    at = place(tmp_path)
    async with at.opened() as store:
        await based(at, store)
        shipper = at.shipper()
        await store.commit([change(patient("lost"))])
        shipper.give_up()
        await store.commit([change(patient("b"))])
        assert "missing" in shipper.round().needs_base
        with pytest.raises(BackupRefused, match="lacks entries"):
            at.restore("gap")
        at.base()
        shipper.based()
        await store.commit([change(patient("c"))])
        assert shipper.round().needs_base == ""
    async with at.restored("healed") as store:
        assert await store.statistics() == {"Patient": 4}


async def test_what_is_restored_begins_an_archive_of_its_own(tmp_path: Path) -> None:
    """Two records with one past must not write to one line; nor must one that was written with the archive off."""
    at = place(tmp_path)
    async with at.opened() as store:
        await based(at, store)
        await store.commit([change(patient("b"))])
        at.shipper().round()
    off = place(tmp_path)
    off.settings = at.settings.model_copy(update={"backup_archive": None})
    async with off.opened() as store:
        await store.commit([change(patient("unseen"))])
    async with at.opened() as store:
        await store.commit([change(patient("c"))])
        shipper = at.shipper()
        assert shipper.round().needs_base
        at.base()
    names = [lineage.name for lineage in catalog.lineages(at.kept)]
    assert len(names) == 2
    async with at.restored("newest") as store:
        assert await store.statistics() == {"Patient": 4}


async def test_after_a_restore_what_it_left_out_can_still_be_restored(tmp_path: Path) -> None:
    """A restore to the wrong instant must not be the end of what came after it."""
    at = place(tmp_path)
    async with at.opened() as store:
        at.shipper().round()
        at.clock.now = early = int(time.time() * 1000) + 1
        await store.commit([change(patient("a"))])
        at.shipper().round()
        at.base()
        time.sleep(0.01)
        at.clock.now = late = int(time.time() * 1000)
        await store.commit([change(patient("b"))])
        at.shipper().round()
    time.sleep(0.01)
    at.restore("back", Until(time=early))
    at.live.rename(tmp_path / "away")
    at.folder("back").rename(at.live)
    async with at.opened() as store:
        assert await store.statistics() == {"Patient": 1}
        at.shipper().round()
        at.base()
        at.clock.now = int(time.time() * 1000) + 1
        await store.commit([change(patient("c")), change(patient("d"))])
        at.shipper().round()
    assert len(catalog.lineages(at.kept)) == 2
    for name, until, patients in (("late", late, 2), ("early", early, 1), ("now", at.clock.now, 3)):
        async with at.restored(name, Until(time=until)) as store:
            assert await store.statistics() == {"Patient": patients}


async def test_tables_that_an_upgrade_changes_while_it_serves_begin_an_archive_of_their_own(tmp_path: Path) -> None:
    at = place(tmp_path)
    async with at.opened() as store, at.opened() as other:
        await based(at, store)
        await other.commit([change(patient("b"))])

        def upgrade(connection: apsw.Connection) -> None:
            connection.execute(
                "CREATE TABLE extra(number INTEGER PRIMARY KEY, text TEXT); INSERT INTO extra VALUES(1,'a')"
            )

        await store._writer.submit(upgrade)
        await other._writer.submit(lambda connection: connection.execute("INSERT INTO extra VALUES(2,'b')"))
        shipper = at.shipper()
        assert shipper.round().needs_base
        at.base()
        await other._writer.submit(lambda connection: connection.execute("INSERT INTO extra VALUES(3,'c')"))
        assert shipper.round().needs_base == ""
    assert len(catalog.lineages(at.kept)) == 2
    at.restore("newest")
    assert [row[0] for row in rows(at.folder("newest"), "SELECT number FROM extra ORDER BY number")] == [1, 2, 3]


async def test_pruning_keeps_every_instant_of_the_days_to_keep(tmp_path: Path) -> None:
    at = place(tmp_path)
    async with at.opened() as store:
        await based(at, store)
        shipper = at.shipper()
        blob = await store.blobs.stage(chunks(b"gone soon"))
        await store.commit([change(patient("b"))], (), [BlobChange(blob.id, attach=True)])
        shipper.round()
        await store.commit([], (), [BlobChange(blob.id, attach=False)])
        shipper.round()
        at.base()
        middle = at.clock.now
        at.clock.now += 1000
        await store.commit([change(patient("c"))])
        shipper.round()
    pruned = prune(at.kept, middle + 10)
    assert (pruned.bases, pruned.blobs) == (1, 1) and pruned.segments >= 2
    assert verify(at.kept) == []
    async with at.restored("middle", Until(time=middle + 10)) as store:
        assert await store.statistics() == {"Patient": 2}
    with pytest.raises(BackupRefused, match="oldest"):
        at.restore("before", Until(txid=1))
    assert prune(at.kept, 1 << 60, gone=True).lineages == 1
    assert not at.tenant.exists()


async def test_writers_that_are_killed_leave_an_archive_of_what_they_acknowledged(tmp_path: Path) -> None:
    at = place(tmp_path)
    async with at.opened() as store:
        await based(at, store)
    shipper = at.shipper()
    processes = [start(at.live, name, 0, str(at.settings.backup_archive)) for name in ("one", "other")]
    for turn in range(4):
        time.sleep(0.1)
        shipper.round()
        if turn == 2:
            at.base()
    acknowledged = {"one": killed(processes[0]), "other": killed(processes[1])}
    assert at.shipper().round().needs_base == ""  # that of a new process
    assert verify(at.kept) == []
    assert sum(map(len, acknowledged.values())) > 10
    async with at.opened() as store:
        live = await log(store)
    async with at.restored("after") as store:
        assert await log(store) == live
        for name, numbers in acknowledged.items():
            for number in numbers[-5:]:
                assert await whole(store, name, number)
