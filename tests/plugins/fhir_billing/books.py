"""Books on a store of their own, which can lose its answers and refuse its commits as a crash would."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from fhir_billing.ledger import (
    AlreadyBooked,
    Booking,
    Entry,
    accounts,
    balance,
    book,
    credit,
    debit,
    entry_of,
    reversal,
)
from fhir_billing.ledger.posting import Overdrawn
from fhir_billing.money import Money, exponent_of, split

from fhir_server.plugin_api import PluginStore, RecordChange

CURRENCIES = ("NGN", "KWD", "UGX")


class Crash(Exception):
    """The process died."""


@dataclass
class Faulty:
    """Records that die before a commit, or after it with the answer lost, as often as `chance` says."""

    store: PluginStore
    dice: random.Random
    chance: float = 0.1

    async def put(self, *changes: RecordChange) -> None:
        """Write, or die before or after."""
        dies = self.dice.random()
        if dies < self.chance / 2:
            raise Crash
        await self.store.put(*changes)
        if dies < self.chance:
            raise Crash

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


@dataclass
class Books:
    """What the ledger needs of a context, and the operations that a test does at random, each until it is done."""

    store: Any
    dice: random.Random
    time: int = 0
    open: list[tuple[str, str]] = field(default_factory=list)
    numbers: int = 0

    def now(self) -> int:
        """Return a time that goes on."""
        self.time += 1
        return self.time

    def amount(self, currency: str) -> Money:
        """Return a random amount."""
        return Money(Decimal(self.dice.randrange(1, 10**7)).scaleb(-exponent_of(currency)), currency)

    async def until_done(self, *entries: Entry, floors: Sequence[str] = (), ceilings: Sequence[str] = ()) -> bool:
        """Book again after each crash; tell whether there was enough for it."""

        async def plan() -> Booking:
            return Booking(entries, (), (), floors, ceilings)

        while True:
            try:
                await book(self, plan)  # type: ignore[arg-type]
            except Crash:
                continue
            except AlreadyBooked:
                return True
            except Overdrawn:
                return False
            return True

    async def step(self) -> None:
        """Do one operation of many kinds."""
        self.numbers += 1
        kind = self.dice.choice((self.charge, self.pay, self.pay, self.take_back, self.exchange, self.overdraw))
        await kind(f"op{self.numbers}")

    async def charge(self, key: str) -> None:
        """Bill somebody, shared in three."""
        currency = self.dice.choice(CURRENCIES)
        whole = self.amount(currency)
        parts = split(whole, [self.dice.randrange(0, 5), 1, self.dice.randrange(1, 9)])
        debits = [debit(accounts.receivable(f"Patient/{n}", key), part) for n, part in enumerate(parts) if part]
        entry = Entry(f"invoice|{key}", "invoice", (*debits, credit(accounts.revenue(), whole)), f"Invoice/{key}")
        assert await self.until_done(entry)
        self.open.append((key, currency))

    async def pay(self, key: str) -> None:
        """Pay a part of something."""
        if not self.open:
            return
        invoice, currency = self.dice.choice(self.open)
        account = accounts.receivable("Patient/2", invoice)
        left = await balance(self.store, account, currency)
        paid = Money.of_minor(self.dice.randrange(0, left.minor + 1), currency) if left.minor > 0 else None
        if paid:
            both = debit(accounts.processor("p"), paid), credit(account, paid)
            assert await self.until_done(Entry(f"payment|{key}", "payment", both), floors=[account])

    async def take_back(self, key: str) -> None:
        """Reverse a bill, if nobody paid on it; else nothing may fall below zero."""
        if self.open:
            invoice, _ = self.dice.choice(self.open)
            found = await entry_of(self.store, f"invoice|{invoice}")
            assert found is not None
            await self.until_done(reversal(found, "wrong"), floors=[line.account for line in found.postings[:-1]])

    async def exchange(self, key: str) -> None:
        """Take one currency for another: both sum to zero."""
        one, other = self.amount("NGN"), self.amount("KWD")
        lines = (
            debit(accounts.processor("p"), one), credit(accounts.exchange("NGN"), one),
            debit(accounts.exchange("KWD"), other), credit(accounts.credit_of("Patient/1"), other),
        )  # fmt: skip
        assert await self.until_done(Entry(f"fx|{key}", "payment", lines))

    async def overdraw(self, key: str) -> None:
        """Take more credit than there is."""
        held = accounts.credit_of("Patient/1")
        there = await balance(self.store, held, "KWD")
        more = Money.of_minor(-there.minor + 1, "KWD")
        both = debit(held, more), credit(accounts.bank(), more)
        assert not await self.until_done(Entry(f"over|{key}", "refund", both), ceilings=[held])
