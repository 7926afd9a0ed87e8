"""Extraction of index rows: search expressions lowered to typed paths, and straight-line Python made from these."""
