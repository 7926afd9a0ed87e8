"""Entry: what happened, as debits and credits that sum to zero in every currency."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fhir_billing.ledger.accounts import kind_of
from fhir_billing.money import Money


class Unbalanced(Exception):
    """An entry whose debits are not its credits: a fault of the code that made it; nothing is written."""


@dataclass(frozen=True, slots=True)
class Posting:
    """One line of an entry: a debit is above zero, a credit below it."""

    account: str
    amount: Money


def debit(account: str, amount: Money) -> Posting:
    """Return a debit."""
    return Posting(account, amount)


def credit(account: str, amount: Money) -> Posting:
    """Return a credit."""
    return Posting(account, -amount)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. It is never changed; a correction is its reversal, and another entry.

    key: made of what happened (`payment|P1|captured`), so that the same thing cannot be booked twice.
    kind: of a short list that reports go by: charge, invoice, payment, settlement, refund, adjudication, ...
    about: the document that it stands for, `Invoice/1`. memo: for people, nothing of the patient.
    reverses: the key of the entry that it takes back.
    """

    key: str
    kind: str
    postings: tuple[Posting, ...]
    about: str = ""
    memo: str = ""
    reverses: str = ""

    def __post_init__(self) -> None:
        """Hold debits and credits together. Raises Unbalanced."""
        sums: defaultdict[str, Decimal] = defaultdict(Decimal)
        for posting in self.postings:
            kind_of(posting.account)
            sums[posting.amount.currency] += posting.amount.amount
        wrong = {currency: amount for currency, amount in sums.items() if amount}
        if wrong or not self.postings:
            raise Unbalanced(f"entry {self.kind}: {wrong or 'no postings'}")

    def value(self, at: int) -> dict[str, Any]:
        """Return the record of it; at: milliseconds since 1970 UTC."""
        lines = [[each.account, str(each.amount.amount), each.amount.currency] for each in self.postings]
        return {
            "at": at, "kind": self.kind, "about": self.about, "memo": self.memo, "reverses": self.reverses,
            "lines": lines,
        }  # fmt: skip


def entry_from(key: str, value: Any) -> Entry:
    """Return the entry of a record."""
    lines = tuple(Posting(account, Money(Decimal(amount), currency)) for account, amount, currency in value["lines"])
    return Entry(key, value["kind"], lines, value["about"], value["memo"], value["reverses"])


def reversal(entry: Entry, memo: str) -> Entry:
    """Return the entry that takes another one back. It has one key: an entry can be taken back once."""
    lines = tuple(Posting(each.account, -each.amount) for each in entry.postings)
    return Entry(f"{entry.key}|reversed", "reversal", lines, entry.about, memo, entry.key)


def netted(entries: Iterable[Entry]) -> dict[tuple[str, str], Decimal]:
    """Return what entries come to by account and currency."""
    sums: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for entry in entries:
        for posting in entry.postings:
            sums[posting.account, posting.amount.currency] += posting.amount.amount
    return dict(sums)


def lines(*pairs: tuple[str, Money]) -> tuple[Posting, ...]:
    """Return postings of pairs, without those of nothing."""
    return tuple(Posting(account, amount) for account, amount in pairs if amount)
