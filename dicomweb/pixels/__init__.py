"""Codecs in worker processes, and rendering."""
