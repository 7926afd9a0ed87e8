"""Retrieving: WADO-RS and WADO-URI."""
