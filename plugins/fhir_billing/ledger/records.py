"""The records of the ledger: entries, the balances that they come to, and which documents are the ledger's."""

from typing import Final

from fhir_server.plugin_api import Collection, RecordField

ENTRIES: Final = Collection(
    "fhir_billing.entries", (RecordField("at", "integer"), RecordField("about"), RecordField("kind"))
)
"""Entries name patients by id only and are kept when a patient is erased: the law wants books that still sum up."""
BALANCES: Final = Collection("fhir_billing.balances", (RecordField("account"), RecordField("open", "integer")))
"""One for each account, currency and shard; `open` is 1 where the balance is not zero."""
DOCUMENTS: Final = Collection(
    "fhir_billing.documents",
    (RecordField("kind"), RecordField("patient"), RecordField("party"), RecordField("due", "integer")),
)
"""By `Type/id`: the documents that are derived from the ledger."""
COLLECTIONS: Final = (ENTRIES, BALANCES, DOCUMENTS)
