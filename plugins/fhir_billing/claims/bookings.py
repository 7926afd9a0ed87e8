"""Entries of claims: what a payer owes, what it writes off, what falls to the patient, what stays open after a denial.

A denial is not written off by itself: it lies in `receivable/PAYER/CLAIM.denied` until somebody appeals, claims again
or gives it up.
"""

from dataclasses import dataclass
from decimal import Decimal

from fhir_billing.adjudication.results import ZERO, Adjustment, Result
from fhir_billing.ledger import Entry, Posting, accounts, credit, debit, reversal
from fhir_billing.money import Money


@dataclass(frozen=True, slots=True)
class Parties:
    """Who is concerned. claim: id; payer: reference; patient: id; number: which decision of the claim it is."""

    claim: str
    payer: str
    patient: str
    number: int = 1

    @property
    def owed(self) -> str:
        """What the payer owes on the claim."""
        return accounts.receivable(self.payer, self.claim)

    @property
    def denied(self) -> str:
        """What it denied, and nobody has given up."""
        return accounts.receivable(self.payer, f"{self.claim}.denied")

    @property
    def by_patient(self) -> str:
        """What the patient owes on the claim."""
        return accounts.receivable(f"Patient/{self.patient}", self.claim)


def billed(parties: Parties, amount: Money, sources: list[Posting]) -> Entry:
    """Return the entry of a claim that goes to a payer. sources: what is credited; the rest is revenue."""
    taken = sum((each.amount.amount for each in sources), start=amount.amount * 0)
    rest = Money(amount.amount + taken, amount.currency)
    postings = [debit(parties.owed, amount), *sources]
    if rest:
        postings.append(credit(accounts.revenue(), rest))
    return Entry(f"claim|{parties.claim}", "claim", tuple(postings), about=f"Claim/{parties.claim}")


def decided(parties: Parties, result: Result, about: str) -> Entry | None:
    """Return the entry of a decision: what the payer does not pay leaves what it owes. None: it pays all."""
    sums: dict[str, Decimal] = {}
    for line in result.lines:
        for each in line.adjustments:
            if each.category != "prior-payer" and each.amount:
                for account, amount in ((account_of(parties, each), each.amount), (parties.owed, -each.amount)):
                    sums[account] = sums.get(account, ZERO) + amount
    postings = tuple(Posting(account, Money(amount, result.currency)) for account, amount in sums.items() if amount)
    if not postings:
        return None
    return Entry(f"adjudication|{parties.claim}|{parties.number}", "adjudication", postings, about=about)


def account_of(parties: Parties, one: Adjustment) -> str:
    """Return where an adjustment goes."""
    if one.group == "PR":
        return parties.by_patient
    if one.category == "contractual" or one.reason == "97" or one.group == "PI":
        return accounts.contractual(parties.payer)
    if one.reason == "18":
        return accounts.writeoff("duplicate")
    return parties.denied


def undone(entries: list[Entry], why: str) -> list[Entry]:
    """Return the reversals of entries."""
    return [reversal(each, f"{each.key}|{why}") for each in entries]
