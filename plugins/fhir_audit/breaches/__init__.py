"""Breach detection: rules over the rows of the audit, what they find, and who is told."""
