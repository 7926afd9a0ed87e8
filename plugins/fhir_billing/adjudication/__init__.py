"""Adjudication: what a payer pays of a claim, from a table that its analysts can read. Pure: no I/O, no resources."""
