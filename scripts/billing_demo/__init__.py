"""The example of docs/billing.md: three patients in three countries, from the visit to the ledger."""
