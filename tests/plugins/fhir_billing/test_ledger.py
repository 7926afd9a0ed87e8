"""The ledger: whatever happens, every currency sums to zero and balances are what the entries come to."""

import asyncio
import random
from pathlib import Path

import pytest
from fhir_billing.ledger import (
    COLLECTIONS,
    AlreadyBooked,
    Entry,
    Unbalanced,
    accounts,
    balance,
    credit,
    debit,
    entry_of,
    post,
    prove,
    reversal,
)
from fhir_billing.money import Money, money_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.plugin_api import PluginStore, RecordChange, RecordChanged
from fhir_server.settings import Settings
from fhir_server.storage.base import Store
from fhir_server.storage.memory import MemoryProvider
from fhir_server.testing.clock import FakeClock
from tests.plugins.fhir_billing.books import Books, Faulty


async def _declared(store: Store) -> PluginStore:
    for collection in COLLECTIONS:
        await store.declare(collection)
    return PluginStore(store, "fhir_billing")


async def _in_memory() -> PluginStore:
    return await _declared(await MemoryProvider(Settings(data_dir=Path("/nonexistent")), FakeClock()).open("default"))


async def _run(store: PluginStore, seed: int, steps: int, chance: float) -> int:
    books = Books(Faulty(store, random.Random(seed), chance), random.Random(seed + 1))
    for _ in range(steps):
        await books.step()
    proof = await prove(store)
    assert proof.holds, (proof.sums, proof.wrong)
    return proof.entries


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32), st.floats(0, 0.5))
def test_random_operations_crashes_and_retries_keep_the_books_in_order(seed: int, chance: float) -> None:
    async def run() -> int:
        return await _run(await _in_memory(), seed, 60, chance)

    assert asyncio.run(run()) > 0


@pytest.mark.long
@pytest.mark.timeout(3_000)
async def test_a_hundred_thousand_operations_keep_the_books_in_order(tmp_path: Path) -> None:
    from fhir_server.storage.sqlite.provider import SqliteProvider

    provider = SqliteProvider(tmp_path, Settings(data_dir=tmp_path, durable=False), FakeClock())
    try:
        entries = await _run(await _declared(await provider.open("default")), 42, 100_000, 0.1)
        print(f"{entries} entries")
    finally:
        await provider.close()


async def test_those_who_book_at_the_same_time_lose_nothing() -> None:
    store = await _in_memory()
    crowd = [Books(store, random.Random(seed)) for seed in range(8)]
    for number, books in enumerate(crowd):
        books.numbers = number * 1_000_000

    async def work(books: Books) -> None:
        for _ in range(15):
            await books.exchange(f"{books.numbers}-{books.now()}")

    await asyncio.gather(*[work(books) for books in crowd])
    proof = await prove(store)
    assert proof.holds
    assert proof.entries == 120


async def test_the_same_thing_is_booked_once_and_taken_back_once() -> None:
    store = await _in_memory()
    entry = Entry("e1", "test", (debit("bank/main", _ngn("5")), credit("revenue/x", _ngn("5"))))
    await store.put(*await post(store, [entry], at=1))
    with pytest.raises(AlreadyBooked):
        await post(store, [entry], at=2)
    back = reversal(entry, "wrong")
    await store.put(*await post(store, [back], at=3))
    with pytest.raises(AlreadyBooked):
        await post(store, [reversal(entry, "again")], at=4)
    assert not await balance(store, "bank/main", "NGN")
    assert await entry_of(store, "e1|reversed") == back


async def test_two_who_read_the_same_balance_cannot_both_write_it() -> None:
    store = await _in_memory()
    account = accounts.receivable("Patient/1", "I1")
    both = [Entry(f"p{n}", "test", (debit(account, _ngn("5")), credit("revenue/x", _ngn("5")))) for n in range(2)]
    one, other = [await post(store, [each], at=1, shard=n) for n, each in enumerate(both)]
    await store.put(*one)
    with pytest.raises(RecordChanged):
        await store.put(*other)


async def test_an_entry_is_never_changed() -> None:
    store = await _in_memory()
    entry = Entry("e1", "test", (debit("bank/main", _ngn("5")), credit("revenue/x", _ngn("5"))))
    changes = await post(store, [entry], at=1)
    await store.put(*changes)
    with pytest.raises(RecordChanged):
        await store.put(changes[0])


async def test_the_proof_finds_a_balance_that_was_tampered_with() -> None:
    store = await _in_memory()
    entry = Entry("e1", "test", (debit("bank/main", _ngn("5")), credit("revenue/x", _ngn("5"))))
    changes = await post(store, [entry], at=1)
    await store.put(*changes)
    assert (await prove(store)).holds
    value = {**(changes[1].value or {}), "amount": "6.00"}
    await store.put(RecordChange(changes[1].collection, changes[1].key, value))
    proof = await prove(store)
    assert (proof.holds, proof.wrong) == (False, ("bank/main NGN",))


@pytest.mark.parametrize(
    "lines", [(), (("bank/main", "5", "NGN"),), (("bank/main", "5", "NGN"), ("revenue/x", "-5", "USD"))]
)
def test_debits_are_credits_in_every_currency(lines: tuple[tuple[str, str, str], ...]) -> None:
    postings = tuple(debit(name, money_of(amount, currency, negative=True)) for name, amount, currency in lines)
    with pytest.raises(Unbalanced):
        Entry("e", "test", postings)


def test_accounts_are_those_of_the_chart() -> None:
    with pytest.raises(ValueError, match="no account"):
        Entry("e", "test", (debit("pocket/mine", _ngn("5")), credit("revenue/x", _ngn("5"))))


def _ngn(amount: str) -> Money:
    return money_of(amount, "NGN")
