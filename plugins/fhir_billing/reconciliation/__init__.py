"""Reconciliation: what processors, banks and payers say that they paid, line by line against the books."""
