"""Payers: each behind one protocol, whatever language it speaks."""
