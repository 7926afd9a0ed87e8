"""Worklists over the web: UPS-RS."""
