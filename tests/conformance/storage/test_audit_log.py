"""The audit log: rows appended with a commit or by themselves, found by key, time, agent and one by one."""

import pytest

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body
from fhir_server.storage.audit import AuditEntry, AuditQuery, AuditRow
from fhir_server.storage.base import Change, Store, VersionChanged, Written

PATIENT = ResourceKey("Patient", "1")


def row(time: int, *keys: str, agent: str = "ann", body: bytes = b"x") -> AuditRow:
    return AuditRow(time, agent, body, keys)


def change(expected: int | None = None) -> Change:
    data = b'{"resourceType":"Patient","id":"1","meta":{}}'
    return Change(PATIENT, "PUT", Body(data, data.index(b'"meta":{') + 8), expected=expected, force=True)


def said(written: "list[Written] | tuple[Written, ...]") -> list[AuditRow]:
    version = written[0].version
    assert version is not None
    return [row(version.last_updated, "Patient/1", body=b"version %d" % version.version)]


async def seqs(store: Store, **query: object) -> list[int]:
    page = await store.audit.find(AuditQuery(**query))  # type: ignore[arg-type]
    return [entry.seq for entry in page.entries]


async def test_rows_are_numbered_from_one_without_gaps(store: Store) -> None:
    assert await store.audit.size() == 0
    assert await store.audit.append([row(5), row(6)]) == 1
    assert await store.audit.append([row(7)]) == 3
    assert await store.audit.size() == 3
    assert await store.audit.read(2) == AuditEntry(2, 6, "ann", b"x")
    assert await store.audit.read(4) is None
    assert [entry.seq for entry in await store.audit.span(2, 9)] == [2, 3]


async def test_rows_that_nobody_asks_the_number_of_are_there_for_whoever_reads(store: Store) -> None:
    await store.audit.note([row(5, "k"), row(6)])
    await store.audit.note([row(7, "k")])
    assert await seqs(store, keys=(frozenset("k"),)) == [3, 1]
    await store.audit.note([row(8)])
    assert await store.audit.size() == 4
    await store.audit.note([row(9, body=b"last")])
    assert await store.audit.read(5) == AuditEntry(5, 9, "ann", b"last")
    await store.audit.note([])
    assert await store.audit.append([row(10)]) == 6
    assert [entry.time for entry in await store.audit.span(1, 9)] == [5, 6, 7, 8, 9, 10]


async def test_rows_that_nobody_asks_the_number_of_can_be_removed(store: Store) -> None:
    await store.audit.note([row(1), row(2), row(3)])
    assert await store.audit.cut(3) == 2
    await store.audit.note([row(4)])
    assert await store.audit.cut(9) == 1
    assert (await store.audit.first(), await store.audit.size()) == (4, 4)


async def test_the_time_of_rows_never_goes_back(store: Store) -> None:
    await store.audit.append([row(50), row(40)])
    await store.audit.append([row(45), row(60)])
    assert [entry.time for entry in await store.audit.span(1, 4)] == [50, 50, 50, 60]


async def test_rows_of_a_write_come_with_it_and_know_its_version(store: Store) -> None:
    await store.commit([change()])
    await store.commit([change()], audit=said)
    found = (await store.audit.find(AuditQuery((frozenset(("Patient/1",)),)))).entries
    assert [entry.body for entry in found] == [b"version 2"]


async def test_a_refused_write_leaves_no_row(store: Store) -> None:
    await store.commit([change()], audit=said)
    with pytest.raises(VersionChanged):
        await store.commit([change(expected=7)], audit=said)
    assert await store.audit.size() == 1


async def test_rows_alone_make_no_commit(store: Store) -> None:
    before = await store.last_txid()
    await store.audit.append([row(1)])
    assert await store.last_txid() == before
    assert await store.changes(0) == []


async def test_rows_are_found_by_all_of_their_keys(store: Store) -> None:
    await store.audit.append([row(1, "a"), row(2, "a", "b"), row(3, "b"), row(4, "c", "b")])
    assert await seqs(store, keys=(frozenset("a"),)) == [2, 1]
    assert await seqs(store, keys=(frozenset("a"), frozenset("b"))) == [2]
    assert await seqs(store, keys=(frozenset("ac"), frozenset("b"))) == [4, 2]
    assert await seqs(store, keys=(frozenset("ab"),), ascending=True) == [1, 2, 3, 4]
    assert await seqs(store, keys=(frozenset("z"),)) == []


async def test_rows_are_found_by_time(store: Store) -> None:
    await store.audit.append([row(time) for time in (10, 20, 20, 30)])
    assert await seqs(store, since=20) == [4, 3, 2]
    assert await seqs(store, since=11, until=30) == [3, 2]
    assert await seqs(store, until=20) == [1]
    assert await seqs(store, until=10) == []
    assert await seqs(store, since=31) == []


async def test_rows_are_found_by_agent(store: Store) -> None:
    await store.audit.append([row(1), row(2, agent="bob"), row(3, "k", agent="bob")])
    assert await seqs(store, agent=lambda text: text == "bob") == [3, 2]
    assert await seqs(store, agent=lambda text: text == "bob", keys=(frozenset("k"),)) == [3]
    assert await seqs(store, agent=lambda text: False) == []


async def test_many_agents_are_found_too(store: Store) -> None:
    await store.audit.append([row(1, "k", agent=f"user {number}") for number in range(300)])
    assert len(await seqs(store, agent=lambda text: text != "user 7", count=400)) == 299
    assert len(await seqs(store, agent=lambda text: text != "user 7", keys=(frozenset("k"),), count=400)) == 299


@pytest.mark.parametrize("ascending", [False, True])
async def test_pages_follow_each_other_though_rows_are_added(store: Store, ascending: bool) -> None:
    await store.audit.append([row(number, "k") for number in range(1, 8)])
    seen: list[int] = []
    bound: dict[str, int] = {}
    while True:
        page = await store.audit.find(AuditQuery((frozenset("k"),), ascending=ascending, count=3, **bound))  # type: ignore[arg-type]
        seen += [entry.seq for entry in page.entries]
        if page.next is None:
            break
        if len(seen) == 3:
            await store.audit.append([row(9, "k")])
        bound = {"above" if ascending else "below": page.next}
    assert seen == ([1, 2, 3, 4, 5, 6, 7, 8] if ascending else [7, 6, 5, 4, 3, 2, 1])


async def test_a_page_ends_early_where_it_looked_at_too_many(store: Store) -> None:
    await store.audit.append([row(number, body=b"%d" % number) for number in range(1, 7)])
    query = AuditQuery(test=lambda entry: entry.body == b"1", most=4)
    page = await store.audit.find(query)
    assert (page.entries, page.next) == ((), 3)
    page = await store.audit.find(AuditQuery(test=query.test, most=4, below=page.next))
    assert ([entry.seq for entry in page.entries], page.next) == ([1], None)


async def test_the_oldest_rows_are_removed_with_what_led_to_them(store: Store) -> None:
    await store.audit.append([row(time, f"Patient/{time % 3}", agent=f"agent {time // 4}") for time in range(1, 13)])
    assert await store.audit.first() == 1
    assert await store.audit.cut(6) == 5
    assert await store.audit.cut(6) == 0
    assert (await store.audit.first(), await store.audit.size()) == (6, 12)
    assert await store.audit.read(5) is None
    assert [entry.seq for entry in await store.audit.span(1, 8)] == [6, 7, 8]
    assert await seqs(store, keys=(frozenset(("Patient/1",)),)) == [10, 7]
    assert await seqs(store, since=9) == [12, 11, 10, 9]
    assert await seqs(store, until=8) == [7, 6]
    assert await seqs(store, agent=lambda text: text in ("agent 0", "agent 1")) == [7, 6]
    assert await store.audit.append([row(13, "Patient/1")]) == 13


async def test_the_newest_row_is_never_removed(store: Store) -> None:
    await store.audit.append([row(1), row(2)])
    assert await store.audit.cut(99) == 1
    assert (await store.audit.first(), await store.audit.size()) == (2, 2)
    assert await store.audit.append([row(3)]) == 3
