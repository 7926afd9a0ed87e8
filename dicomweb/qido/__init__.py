"""Searching: QIDO-RS and C-FIND."""
