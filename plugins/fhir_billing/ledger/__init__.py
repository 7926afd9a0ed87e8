"""The ledger: double entry, immutable; every balance, invoice and statement is derived from it.

`book` is the one way to write: entries, the documents that they stand for and records of the plugin go in one commit.
"""

from fhir_billing.ledger import accounts
from fhir_billing.ledger.balances import balance, balances, entries_about, entry_of
from fhir_billing.ledger.booking import Booking, book
from fhir_billing.ledger.documents import owned, owner_change
from fhir_billing.ledger.entry import Entry, Posting, Unbalanced, credit, debit, reversal
from fhir_billing.ledger.posting import AlreadyBooked, post
from fhir_billing.ledger.proof import Proof, prove
from fhir_billing.ledger.records import BALANCES, COLLECTIONS, DOCUMENTS, ENTRIES

__all__ = [
    "BALANCES",
    "COLLECTIONS",
    "DOCUMENTS",
    "ENTRIES",
    "AlreadyBooked",
    "Booking",
    "Entry",
    "Posting",
    "Proof",
    "Unbalanced",
    "accounts",
    "balance",
    "balances",
    "book",
    "credit",
    "debit",
    "entries_about",
    "entry_of",
    "owned",
    "owner_change",
    "post",
    "prove",
    "reversal",
]
