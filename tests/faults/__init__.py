"""Faults of the network between a node and its store."""
