"""Storing: STOW-RS."""
