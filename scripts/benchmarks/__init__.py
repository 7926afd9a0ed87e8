"""Benchmarks of the whole server over HTTP; each prints what it measured and on what."""
