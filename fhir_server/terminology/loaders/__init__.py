"""Readers of what code systems are published as; each is a Source for a held code system."""
